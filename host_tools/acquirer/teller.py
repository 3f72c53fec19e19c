"""What the bank does with money: sale, reversal, script results.

Each act runs inside one unit of work of the ledger and is committed before
its answer leaves, so that a lost answer is a lost answer and not a lost
payment. Only the bank module calls this one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from host_tools.acquirer.issuer import (
    AccountData,
    CardDataError,
    Issuer,
    check_card_data,
    parse_card_data,
)
from host_tools.acquirer.keys import PinFormatError, decipher_pin
from host_tools.acquirer.ledger import (
    APPROVED,
    DECLINED,
    ORPHAN,
    REVERSED,
    Account,
    Terminal,
    Transaction,
)
from host_tools.acquirer.rules import Plan
from host_tools.acquirer.wire import Message, masked_pan

#: Wrong PINs before an account refuses (75).
PIN_TRIES = 3

APPROVED_CODE = "00"
PARTIAL_CODE = "10"

_STATUS_CODES = {"blocked": "62", "lost": "41", "closed": "14"}

_SALE_FIELDS = (3, 4, 11, 22, 25, 41, 42, 49, 55, 60)


@dataclass
class Verdict:
    """Field 39 and what else the answer carries."""

    code: str
    reason: str = ""
    rrn: str = ""
    auth_code: str = ""
    approved_amount: int | None = None
    card_data: bytes = b""
    extra: dict[int, str] = field(default_factory=dict)


class _Decline(Exception):
    """Leaves the straight line of a sale with a code and the reason for the books."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Teller:
    """Books sales, reversals and script results. ``clock`` gives Unix seconds."""

    def __init__(self, issuers: dict[str, Issuer], clock: Callable[[], int]) -> None:
        self.issuers = issuers
        self.clock = clock

    def local_time(self, terminal: Terminal) -> datetime:
        """The bank's clock in the terminal's time zone."""
        return datetime.fromtimestamp(self.clock(), UTC) + timedelta(minutes=terminal.utc_offset)

    def _numbers(self, session: Session, terminal: Terminal) -> tuple[str, str]:
        """Reference (YDDDhhnnnnnn, ISO 8583 field 37) and authorisation code."""
        number = int(session.scalar(select(func.coalesce(func.max(Transaction.id), 0))) or 0) + 1
        now = self.local_time(terminal)
        day = now.timetuple().tm_yday
        rrn = f"{now.year % 10}{day:03d}{now.hour:02d}{number % 1_000_000:06d}"
        return rrn, f"{number * 7919 % 1_000_000:06d}"

    @staticmethod
    def find(session: Session, terminal: Terminal, batch: int, stan: str) -> Transaction | None:
        """The request of this terminal, batch and STAN, if it ever came."""
        query = select(Transaction).where(
            Transaction.terminal_id == terminal.terminal_id,
            Transaction.batch == batch,
            Transaction.stan == stan,
        )
        return session.scalar(query)

    # Sale ---------------------------------------------------------------

    def sale(self, session: Session, terminal: Terminal, request: Message, plan: Plan) -> Verdict:
        """0200 with processing code 000000. The MAC has been verified."""
        missing = [number for number in _SALE_FIELDS if number not in request.fields]
        pan = card_number(request)
        if missing or not pan:
            return Verdict("30", f"field {missing[0] if missing else 2} is missing")
        batch, stan = int(request.batch), request.get(11)
        if self.find(session, terminal, batch, stan) is not None:
            return Verdict("94", "STAN was used in this batch")
        rrn, auth_code = self._numbers(session, terminal)
        row = Transaction(
            terminal_id=terminal.terminal_id,
            merchant_id=terminal.merchant_id,
            batch=batch,
            stan=stan,
            mti=request.mti,
            processing_code=request.get(3),
            kind=request.kind,
            entry_mode=request.get(22),
            amount=int(request.get(4)),
            approved_amount=0,
            currency=terminal.currency,
            masked_pan=masked_pan(pan),
            rrn=rrn,
            response="96",
            state=DECLINED,
            time=self.clock(),
        )
        session.add(row)
        verdict = Verdict("96", rrn=rrn)
        try:
            self._judge(session, terminal, request, plan, row, verdict)
        except _Decline as decline:
            verdict.code, verdict.reason = decline.code, decline.reason
        if verdict.code in (APPROVED_CODE, PARTIAL_CODE):
            row.state = APPROVED
            row.auth_code = verdict.auth_code = auth_code
        row.response, row.reason = verdict.code, verdict.reason
        self._answer_card(row, request, plan, verdict)
        return verdict

    def _judge(
        self,
        session: Session,
        terminal: Terminal,
        request: Message,
        plan: Plan,
        row: Transaction,
        verdict: Verdict,
    ) -> None:
        """Set the verdict's code and move the balance, or raise _Decline."""
        if request.get(49) != f"{terminal.currency:03d}":
            raise _Decline("12", f"currency {request.get(49)} is not the terminal's")
        if row.amount == 0:
            raise _Decline("13", "amount is zero")
        if request.get(22)[:2] != "05":
            raise _Decline("40", "the test bank takes chip payments only")
        account = session.scalar(select(Account).where(Account.pan == card_number(request)))
        if account is None or account.pan not in self.issuers:
            raise _Decline("14", "no such card in the deck")
        row.account = account
        self._check_cryptogram(session, request, row)
        self._check_expiry(terminal, account, request)
        self._check_pin(terminal, account, request, row)
        if account.status != "active":
            raise _Decline(_STATUS_CODES.get(account.status, "05"), f"account {account.status}")
        if plan.decline:
            raise _Decline(plan.decline, "a rule declines")
        if account.currency != terminal.currency:
            raise _Decline("57", "account in another currency")
        if row.amount > account.limit:
            raise _Decline("61", f"limit {account.limit}")
        granted = max(1, row.amount * plan.partial // 100) if plan.partial else row.amount
        if granted > account.balance:
            raise _Decline("51", "not enough balance")
        account.balance -= granted
        row.approved_amount = granted
        verdict.approved_amount = granted
        verdict.code = PARTIAL_CODE if plan.partial else APPROVED_CODE

    def _check_cryptogram(self, session: Session, request: Message, row: Transaction) -> None:
        try:
            objects = parse_card_data(request.binary(55))
            check_card_data(objects, row.amount, row.currency, 52 in request.fields)
        except CardDataError as error:
            raise _Decline("30", f"field 55: {error}") from error
        assert row.account is not None
        issuer = self.issuers[row.account.pan]
        sequence = request.get(23)
        if sequence and int(sequence) != int(issuer.account.csn):
            raise _Decline("14", "card sequence number differs")
        if not issuer.arqc_is_right(objects):
            raise _Decline("05", "ARQC does not verify")
        atc, arqc = objects["9F36"].hex().upper(), objects["9F26"].hex().upper()
        seen = select(Transaction.id).where(
            Transaction.account_id == row.account.id,
            Transaction.atc == atc,
            Transaction.arqc == arqc,
        )
        with session.no_autoflush:
            replayed = session.scalar(seen) is not None
        row.atc, row.arqc = atc, arqc
        if replayed:
            raise _Decline("05", "ARQC was used before")

    def _check_expiry(self, terminal: Terminal, account: Account, request: Message) -> None:
        given = request.get(14)
        if given and given != account.expiry:
            raise _Decline("54", "expiry differs from the account's")
        now = self.local_time(terminal)
        if f"{now.year % 100:02d}{now.month:02d}" > account.expiry:
            raise _Decline("54", "card expired")

    def _check_pin(
        self, terminal: Terminal, account: Account, request: Message, row: Transaction
    ) -> None:
        if request.get(22)[2:] != "1":
            if 52 in request.fields:
                raise _Decline("30", "field 52 without field 22's third digit 1")
            return
        if not {26, 52, 53} <= set(request.fields):
            raise _Decline("30", "a PIN needs fields 26, 52 and 53")
        if account.pin_tries <= 0:
            raise _Decline("75", "PIN tries exceeded")
        form = request.get(53)[:1]
        if form not in ("1", "2"):
            raise _Decline("99", f"PIN format {form} of field 53")
        try:
            typed = decipher_pin(
                bytes.fromhex(terminal.pin_key), request.binary(52), account.pan, form == "2"
            )
        except PinFormatError as error:
            raise _Decline("99", "PIN block does not decipher") from error
        if typed != self.issuers[account.pan].account.pin:
            account.pin_tries -= 1
            raise _Decline("55", f"wrong PIN, {account.pin_tries} tries left")
        account.pin_tries = PIN_TRIES
        row.pin_verified = True

    def _answer_card(
        self, row: Transaction, request: Message, plan: Plan, verdict: Verdict
    ) -> None:
        """Field 55 of the answer: 91 (and a script) for a card whose ARQC verified."""
        if not row.arqc or row.account is None or verdict.reason.startswith("ARQC"):
            return
        issuer = self.issuers[row.account.pan]
        objects = parse_card_data(request.binary(55))
        if plan.arpc != "none":
            data = issuer.authentication_data(objects, verdict.code)
            if plan.arpc == "wrong":
                data = bytes(byte ^ 0xFF for byte in data[:8]) + data[8:]
            verdict.card_data += b"\x91" + bytes([len(data)]) + data
        if plan.script and verdict.code == APPROVED_CODE:
            script = issuer.script(plan.script, objects)
            row.scripts = script.hex().upper()
            verdict.card_data += script

    # Reversal and script results ------------------------------------------

    def reversal(self, session: Session, terminal: Terminal, request: Message) -> Verdict:
        """0400: give the money back once, say so as often as asked."""
        if not {3, 4, 11, 39} <= set(request.fields) or len(request.batch) != 6:
            return Verdict("30", "a reversal needs fields 3, 4, 11, 39 and 60")
        batch, stan = int(request.batch), request.get(11)
        row = self.find(session, terminal, batch, stan)
        if row is None:
            row = self._orphan(session, terminal, request, batch, stan)
        if row.state == ORPHAN:
            row.reversals += 1
            return Verdict("25", "original never came", rrn=row.rrn)
        same = row.processing_code == request.get(3) and row.amount == int(request.get(4))
        pan = card_number(request)
        if not same or (pan and masked_pan(pan) != row.masked_pan):
            return Verdict("30", "not the original's card, processing code or amount")
        row.reversals += 1
        row.reversal_reason = request.get(39)
        self._keep_script_results(request, row)
        if row.state == APPROVED:
            assert row.account is not None
            row.account.balance += row.approved_amount
            row.state = REVERSED
        return Verdict("00", rrn=row.rrn)

    def _orphan(
        self, session: Session, terminal: Terminal, request: Message, batch: int, stan: str
    ) -> Transaction:
        """Remember the reversal, so that its original is refused if it comes late."""
        row = Transaction(
            terminal_id=terminal.terminal_id,
            merchant_id=terminal.merchant_id,
            batch=batch,
            stan=stan,
            mti="0200",
            processing_code=request.get(3),
            kind=request.kind,
            entry_mode=request.get(22),
            amount=int(request.get(4)),
            approved_amount=0,
            currency=terminal.currency,
            masked_pan=masked_pan(card_number(request)),
            rrn=self._numbers(session, terminal)[0],
            response="25",
            state=ORPHAN,
            reason="reversal without original",
            reversals=0,
            reversal_reason=request.get(39),
            time=self.clock(),
        )
        session.add(row)
        return row

    def script_result(self, session: Session, terminal: Terminal, request: Message) -> Verdict:
        """0620 with 60.3 951: DF31 of the payment that field 61 names."""
        original = request.get(61)
        if len(original) < 12:
            return Verdict("30", "field 61 names no original")
        row = self.find(session, terminal, int(original[:6]), original[6:12])
        if row is None or row.state == ORPHAN:
            return Verdict("25", "original not found")
        if not self._keep_script_results(request, row):
            return Verdict("30", "field 55 holds no DF31")
        return Verdict("00", rrn=row.rrn)

    @staticmethod
    def _keep_script_results(request: Message, row: Transaction) -> bool:
        try:
            results = parse_card_data(request.binary(55)).get("DF31", b"")
        except CardDataError:
            return False
        if results:
            row.script_results = results.hex().upper()
        return bool(results)


def card_number(request: Message) -> str:
    """The PAN of field 2, else of track 2's first part; "" when neither is there."""
    if 2 in request.fields:
        return request.get(2)
    digits = request.get(35).split("D")[0]
    return digits if digits.isdecimal() else ""


def issuers_of(accounts: "list[AccountData]") -> dict[str, Issuer]:
    """The issuer of each account, by PAN."""
    return {account.pan: Issuer(account) for account in accounts}
