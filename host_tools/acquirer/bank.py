"""The test bank without I/O: a frame and its sender in, actions out.

``Bank.handle`` books what it must, commits, and only then says what to send;
server, virtual-clock session and tests carry the actions out. Nothing that a
peer sends makes it raise.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from host_tools.acquirer.issuer import DeckData
from host_tools.acquirer.keys import SIGN_IN_CODES, Random, compute_mac, new_working_keys
from host_tools.acquirer.ledger import (
    MESSAGES_KEPT,
    Account,
    Ledger,
    LoggedMessage,
    Terminal,
    Transaction,
)
from host_tools.acquirer.rules import HONEST, Plan, Rules
from host_tools.acquirer.teller import (
    PARTIAL_CODE,
    PIN_TRIES,
    Teller,
    Verdict,
    card_number,
    issuers_of,
)
from host_tools.acquirer.wire import Message, WireError, build, masked, parse, swapped, with_length

#: Largest single payment of an account, minor units.
ACCOUNT_LIMIT = 5_000_000

#: Answer codes that go without a MAC: bank and terminal share no key then,
#: or the terminal is told that its keys are wrong.
UNSIGNED = ("77", "97", "99", "A0")

_WITH_MAC = ("0200", "0400", "0620")

_ACQUIRER = "00010000"

#: Fields of the request that every answer repeats when they were there.
_REPEATED = (3, 4, 11, 25, 41, 42, 49, 60)


@dataclass(frozen=True)
class PeerInfo:
    """Who sent a frame: common name of its client certificate (the device
    serial; None where the transport had none) and its address for the log."""

    serial: str | None = None
    address: str = ""


@dataclass(frozen=True)
class Action:
    """Send ``data`` (with its length prefix) or end the connection, ``delay_ms``
    after the request. ``gap_ms`` not None: byte by byte with that pause."""

    data: bytes = b""
    close: bool = False
    delay_ms: int = 0
    gap_ms: int | None = None


@dataclass
class _Answer:
    """What the bank has decided, before rules spoil it."""

    message: Message
    sign: bool
    note: str = ""
    plan: Plan = field(default=HONEST)


class Bank:
    """The bank: its books, the issuers of the deck's cards, its rules.

    ``clock`` gives Unix seconds. ``sign_declines`` False sends declined
    payments without a MAC, as some hosts do.
    """

    def __init__(
        self,
        ledger: Ledger,
        deck: DeckData,
        rules: Rules,
        clock: Callable[[], int],
        random: Random = secrets.token_bytes,
        sign_declines: bool = True,
    ) -> None:
        accounts = list(deck.accounts())
        self.ledger = ledger
        self.rules = rules
        self.clock = clock
        self.random = random
        self.sign_declines = sign_declines
        self._host_rules = {account.pan: account.host_rule for account in accounts}
        self._teller = Teller(issuers_of(accounts), clock)
        self._deck = deck
        self._open_accounts()

    def _open_accounts(self) -> None:
        """Give each card of the deck an account unless it has one."""
        with self.ledger.session() as session:
            known = set(session.scalars(select(Account.pan)))
            for data in self._deck.accounts():
                if data.pan not in known:
                    session.add(
                        Account(
                            card=data.card,
                            pan=data.pan,
                            csn=data.csn,
                            expiry=data.expiry,
                            status=data.status,
                            currency=data.currency,
                            balance=data.balance,
                            opening_balance=data.balance,
                            limit=ACCOUNT_LIMIT,
                            pin_tries=PIN_TRIES,
                        )
                    )
            session.commit()

    def reset(self) -> None:
        """Forget transactions, messages and waiting rules; restore the accounts.
        Terminals stay enrolled and signed in."""
        self.rules.clear()
        with self.ledger.session() as session:
            session.execute(delete(Transaction))
            session.execute(delete(LoggedMessage))
            session.execute(delete(Account))
            session.commit()
        self._open_accounts()

    # One request ------------------------------------------------------------

    def handle(self, frame: bytes, peer: PeerInfo) -> list[Action]:
        """Judge one frame (without its length prefix)."""
        try:
            request = parse(frame)
        except WireError as error:
            return self._unreadable(error, peer)
        if request.mti[2] not in "02468":
            self._log("in", request, f"not a request; from {peer.address}")
            return [Action(close=True)]
        with self.ledger.session() as session:
            answer = self._decide(session, request, peer)
            session.commit()
        if answer is None:
            return []
        return self._actions(request, answer)

    def _unreadable(self, error: WireError, peer: PeerInfo) -> list[Action]:
        partial = error.partial
        if partial is None or partial.mti[2:3] not in tuple("02468") or 41 not in partial.fields:
            self._log("in", partial or Message("----"), f"unreadable from {peer.address}: {error}")
            return [Action(close=True)]
        self._log("in", partial, f"unreadable: {error}")
        answer = _Answer(self._answer_to(partial, Verdict("30")), sign=True, note=str(error))
        return self._actions(partial, answer)

    def _decide(self, session: Session, request: Message, peer: PeerInfo) -> _Answer | None:
        terminal = session.get(Terminal, request.get(41))
        pan = card_number(request)
        amount = int(request.get(4)) if 4 in request.fields else None
        plan = self.rules.choose(
            request.mti,
            request.get(41),
            request.get(11),
            amount,
            pan,
            self._host_rules.get(pan),
        )
        if plan.lose:
            self._log("in", request, "lost by rule", session)
            return None
        self._log("in", request, "", session)
        if terminal is None:
            verdict = Verdict("97", "no such terminal")
        elif peer.serial is not None and peer.serial != terminal.serial:
            verdict = Verdict("97", f"certificate of {peer.serial} for another's terminal id")
        elif request.get(42) != terminal.merchant_id:
            verdict = Verdict("03", "merchant is not the terminal's")
        elif plan.refuse:
            verdict = Verdict(plan.refuse, "refused by rule")
        else:
            verdict = self._route(session, terminal, request, plan)
        message = self._answer_to(request, verdict, terminal)
        return _Answer(message, request.mti in _WITH_MAC, verdict.reason, plan)

    def _route(self, session: Session, terminal: Terminal, request: Message, plan: Plan) -> Verdict:
        if len(request.get(60)) < 11 or 11 not in request.fields:
            return Verdict("30", "fields 11 and 60 (to 60.3) are needed")
        kind = (request.mti, request.network_code)
        if request.mti == "0800" and request.network_code in SIGN_IN_CODES:
            return self._sign_in(terminal, request, plan)
        if kind == ("0820", "002"):
            terminal.signed_in = False
            terminal.pin_key = terminal.mac_key = terminal.track_key = ""
            return Verdict("00")
        if kind == ("0820", "301"):
            return Verdict(plan.decline or "00")
        if request.mti not in _WITH_MAC:
            return Verdict("40", f"{request.mti} with 60.3 {request.network_code}")
        if not terminal.signed_in:
            return Verdict("77", "not signed in")
        if not self._mac_is_right(terminal, request):
            return Verdict("A0", "MAC is missing" if 64 not in request.fields else "MAC is wrong")
        if request.mti == "0400":
            if plan.decline:
                return Verdict(plan.decline, "a rule declines")
            return self._teller.reversal(session, terminal, request)
        if request.mti == "0620" and request.network_code == "951":
            if plan.decline:
                return Verdict(plan.decline, "a rule declines")
            return self._teller.script_result(session, terminal, request)
        if request.mti == "0200" and request.get(3) == "000000" and request.kind == "22":
            if request.get(25) != "00":
                return Verdict("40", f"service condition {request.get(25)}")
            if int(request.batch) != terminal.batch:
                return Verdict("77", f"batch {request.batch} is not {terminal.batch:06d}")
            return self._teller.sale(session, terminal, request, plan)
        return Verdict("40", f"{request.mti} {request.get(3)} with 60.1 {request.kind}")

    def _sign_in(self, terminal: Terminal, request: Message, plan: Plan) -> Verdict:
        """Fresh working keys under the terminal's TMK; the old ones end here."""
        if plan.decline:
            return Verdict(plan.decline, "a rule declines")
        keys = new_working_keys(request.network_code, terminal.mac_length, self.random)
        terminal.pin_key = keys.pin.hex()
        terminal.mac_key = keys.mac.hex()
        terminal.track_key = keys.track.hex()
        terminal.signed_in = True
        terminal.key_set += 1
        block = keys.field62(bytes.fromhex(terminal.tmk))
        if plan.mac == "wrong":
            # A sign-in answer has no MAC: spoil the last check value instead.
            block = block[:-4] + bytes(byte ^ 0xFF for byte in block[-4:])
        verdict = Verdict("00")
        verdict.rrn = f"{terminal.key_set:012d}"
        batch = f"{request.kind}{terminal.batch:06d}{request.network_code}"
        verdict.extra = {60: batch, 62: block.hex().upper()}
        return verdict

    def _mac_is_right(self, terminal: Terminal, request: Message) -> bool:
        if 64 not in request.fields or not request.mac_input:
            return False
        key = bytes.fromhex(terminal.mac_key)
        right = compute_mac(terminal.mac_algorithm, key, request.mac_input)
        return compare_digest(right, request.binary(64))

    # The answer -------------------------------------------------------------

    def _answer_to(
        self, request: Message, verdict: Verdict, terminal: Terminal | None = None
    ) -> Message:
        mti = f"{request.mti[:2]}{int(request.mti[2]) + 1}{request.mti[3]}"
        fields = {
            number: request.fields[number] for number in _REPEATED if number in request.fields
        }
        fields[39] = verdict.code
        fields[32] = _ACQUIRER
        if terminal is not None:
            now = self._teller.local_time(terminal)
            fields[12] = now.strftime("%H%M%S")
            fields[13] = now.strftime("%m%d")
        if verdict.rrn:
            fields[37] = verdict.rrn
        if request.mti in ("0200", "0400") and terminal is not None:
            fields[15] = fields[13]
            fields[44] = f"{_ACQUIRER:<11}{_ACQUIRER:<11}"
            if 2 in request.fields:
                fields[2] = request.fields[2]
            if 14 in request.fields:
                fields[14] = request.fields[14]
        if verdict.auth_code:
            fields[38] = verdict.auth_code
            fields[63] = "CUP"
        if verdict.code == PARTIAL_CODE and verdict.approved_amount is not None:
            fields[4] = f"{verdict.approved_amount:012d}"
        if verdict.card_data:
            fields[55] = verdict.card_data.hex().upper()
        fields.update(verdict.extra)
        return Message(mti, fields, swapped(request.tpdu), request.header)

    def _sign(self, message: Message, algorithm: str, key: bytes, mac: str) -> None:
        message.fields[64] = "00" * 8
        build(message)
        value = compute_mac(algorithm, key, message.mac_input)
        if mac == "wrong":
            # Stays printable for the ECB MAC, whose eight bytes are hex digits.
            value = value[1:] + value[:1] if len(set(value)) > 1 else bytes(8)
        message.fields[64] = value.hex().upper()

    def _actions(self, request: Message, answer: _Answer) -> list[Action]:
        """Sign, spoil as the plan says, and put on the wire."""
        message, plan = answer.message, answer.plan
        if plan.wrong_stan and 11 in message.fields:
            message.fields[11] = f"{(int(message.fields[11]) + 1) % 1_000_000:06d}"
        if plan.wrong_amount and 4 in message.fields:
            message.fields[4] = f"{(int(message.fields[4]) + 1) % 10**12:012d}"
        code = message.fields[39]
        # Without its MAC a terminal could never end a reversal.
        unsigned = request.mti == "0200" and code not in ("00", PARTIAL_CODE)
        sign = answer.sign and code not in UNSIGNED and plan.mac != "none"
        if sign and (self.sign_declines or not unsigned):
            with self.ledger.session() as session:
                terminal = session.get(Terminal, request.get(41))
                if terminal is not None and terminal.mac_key:
                    key = bytes.fromhex(terminal.mac_key)
                    self._sign(message, terminal.mac_algorithm, key, plan.mac)
        frame = build(message)
        self._log("out", message, answer.note)
        if plan.close:
            return [Action(close=True, delay_ms=plan.delay_ms)]
        if plan.drop:
            return []
        if plan.garble:
            # TPDU, header and MTI stay; what follows cannot be read.
            frame = frame[:13] + bytes(byte ^ 0x5A for byte in frame[13:])
        action = Action(with_length(frame), delay_ms=plan.delay_ms, gap_ms=plan.gap_ms)
        return [action, action] if plan.duplicate else [action]

    def _log(
        self, direction: str, message: Message, note: str, session: Session | None = None
    ) -> None:
        if session is None:
            with self.ledger.session() as own:
                self._log(direction, message, note, own)
                own.commit()
            return
        row = LoggedMessage(
            time=self.clock(),
            terminal_id=message.get(41),
            direction=direction,
            mti=message.mti,
            fields=json.dumps(masked(message)),
            note=note,
        )
        session.add(row)
        session.flush()
        if row.id % 1000 == 0:
            newest = session.scalar(select(func.max(LoggedMessage.id))) or 0
            session.execute(delete(LoggedMessage).where(LoggedMessage.id <= newest - MESSAGES_KEPT))
