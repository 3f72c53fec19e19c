"""The state that the journal's records add up to.

``check`` says whether a record may follow (rules of money, 1, 2, 5, 6);
``apply`` adds it. The same two run when a record is appended and when the
journal is read back, so that after any restart the terminal owes exactly what
it must. The state's own encoding (``dump``, ``load``) is the checkpoint.
"""

from firmware.payment.journal import records as r
from firmware.payment.journal.records import JournalError
from firmware.payment.journal.registered import MAX_PAYMENTS, Payments
from firmware.payment.journal.restoring import Restoring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A debt's phases: request durable; answer durable; a reversal is due.
SENT = 1
ANSWERED = 2
REVERSAL = 3

#: Bounds, so that a checkpoint always fits.
MAX_TRANSACTIONS = 400
MAX_SCRIPTS = 2
MAX_PRINTS = 64
MAX_SETTINGS = 32
MAX_FAILURES = 16

_OF_A_DEBT = (r.ANSWER, r.UNSENT, r.COMMIT, r.REVERSAL_SENT, r.REVERSED, r.RELEASED)

#: Transaction.status
APPROVED = 1
REVERSED = 2


class Debt:
    """A payment that the host may have booked and that is not committed.

    ``request`` and ``answer`` are record bodies (``answer`` None before one
    came); ``reason`` is field 39 of the reversal; ``attempts`` counts 0400s
    sent; ``scripts`` are script results and ``emv`` later values of tags (the
    COMMIT's, they count before the request's) for its field 55.
    """

    def __init__(self, sequence: int, request: "dict[int, Any]") -> None:
        self.sequence = sequence
        self.request = request
        self.answer: "dict[int, Any] | None" = None
        self.phase = SENT
        self.reason = r.REASON_NO_ANSWER
        self.attempts = 0
        self.scripts = b""
        self.emv: "dict[int, bytes]" = {}

    @property
    def stan(self) -> int:
        """Field 11 of request and reversal."""
        stan: int = self.request[r.K_STAN]
        return stan

    def approved_amount(self, commit: "dict[int, Any]") -> int:
        """What an approval is about: partly approved, the answer's amount counts (rules of
        money, 6)."""
        answer = self.answer if self.answer is not None else {}
        amount: int = commit.get(r.K_AMOUNT, answer.get(r.K_AMOUNT, self.request[r.K_AMOUNT]))
        return amount


class ScriptOwed:
    """Script results to send by 0620 before the next payment."""

    def __init__(
        self, request: "dict[int, Any]", answer: "dict[int, Any] | None", results: bytes
    ) -> None:
        self.request = request
        self.answer = answer
        self.results = results

    @property
    def stan(self) -> int:
        """Field 11 of the payment that brought the scripts."""
        stan: int = self.request[r.K_STAN]
        return stan


class PrintOwed:
    """A slip whose merchant's copy is not printed yet: of an approval, an
    acknowledged reversal, a supervisor's release or confirmation (``printed``
    lists other copies that are printed, or that nobody is to get).
    ``sequence``: the COMMIT, REVERSED, RELEASED or CONFIRMED record, which holds
    the receipt; ``stan`` is 0 for the last."""

    def __init__(self, stan: int, sequence: int, printed: "list[str]") -> None:
        self.stan = stan
        self.sequence = sequence
        self.printed = printed


class Transaction:
    """One line of the open batch. ``sequence``: its COMMIT record, which holds
    the receipt; ``amount`` in minor units; ``status``: APPROVED or REVERSED."""

    def __init__(
        self, stan: int, sequence: int, type: str, currency: int, amount: int, status: int
    ) -> None:
        self.stan = stan
        self.sequence = sequence
        self.type = type
        self.currency = currency
        self.amount = amount
        self.status = status


class State:
    """Everything that follows from the records. Read it, never change it."""

    def __init__(self) -> None:
        self.stan = 1
        self.batch = 1
        self.key_set = 0
        self.signed_in = False
        self.debt: "Debt | None" = None
        self.scripts_owed: "list[ScriptOwed]" = []
        #: (type, currency) -> (count, sum in minor units), approved in the open batch
        self.totals: "dict[tuple[str, int], tuple[int, int]]" = {}
        self.transactions: "list[Transaction]" = []
        #: The last COMMIT, REVERSED, RELEASED or CONFIRMED that has a receipt: its
        #: body, and its sequence.
        self.last_receipt: "dict[int, Any] | None" = None
        self.last_receipt_sequence = 0
        self.print_owed: "list[PrintOwed]" = []
        self.settings: "dict[str, Any]" = {}
        self.failures: "dict[str, int]" = {}
        #: Damage was found and no supervisor has confirmed it yet.
        self.unconfirmed = False
        #: Whether that is a backup that was restored here.
        self.restored = False
        #: records.C_... -> total, and what it was when a supervisor last had it serviced.
        self.counters: "dict[int, int]" = {}
        self.serviced: "dict[int, int]" = {}
        #: Up to here a PC keeps the records as well. No record says so: it is as the last
        #: checkpoint, or a PC since, has it.
        self.acknowledged = 0
        #: What a restore has brought so far; it counts once RESTORED stands.
        self.restoring = Restoring()
        #: Payments that registers asked for, by their references.
        self.registered = Payments()

    # --- what may follow -------------------------------------------------

    def check(self, kind: int, body: "dict[int, Any]") -> None:
        """JournalError if a record of this kind must not follow now."""
        if kind in (r.RESTORING, r.RESTORED):
            self._check_restore(kind, body)
            return
        self.registered.check(body)
        if kind == r.REQUEST:
            if self.unconfirmed:
                raise JournalError("a supervisor must confirm the journal's damage first")
            if self.debt is not None:
                raise JournalError("a debt stands: STAN " + str(self.debt.stan))
            if len(self.scripts_owed) >= MAX_SCRIPTS:
                raise JournalError("script results must be sent first")
            if len(self.transactions) >= MAX_TRANSACTIONS:
                raise JournalError("the batch is full")
        elif kind == r.ANSWER:
            if self._debt(body).phase != SENT:
                raise JournalError("an answer is journalled already")
        elif kind == r.UNSENT:
            if self._debt(body).phase != SENT:
                raise JournalError("only a request without an answer can be proved unsent")
        elif kind == r.COMMIT:
            self._check_commit(body)
        elif kind == r.RELEASED and body[r.K_STAN] in [one.stan for one in self.scripts_owed]:
            return
        elif kind in (r.REVERSAL_SENT, r.REVERSED, r.RELEASED):
            debt = self._debt(body)
            if kind == r.REVERSED and debt.attempts == 0:
                raise JournalError("no reversal was sent")
        elif kind == r.SCRIPT_DONE:
            if body[r.K_STAN] not in [owed.stan for owed in self.scripts_owed]:
                raise JournalError("no script results are owed for this STAN")
        elif kind == r.BATCH_CLOSED:
            if self.debt is not None:
                raise JournalError("a batch with a debt cannot close")
            if body[r.K_BATCH] != self.batch:
                raise JournalError("the open batch is " + str(self.batch))
        elif kind == r.SETTING:
            if body[r.K_NAME] not in self.settings and len(self.settings) >= MAX_SETTINGS:
                raise JournalError("too many settings")
        elif (
            kind == r.LOCKOUT
            and body[r.K_WHO] not in self.failures
            and len(self.failures) >= MAX_FAILURES
        ):
            raise JournalError("too many operators with failures")

    def _debt(self, body: "dict[int, Any]") -> Debt:
        if self.debt is None:
            raise JournalError("no debt stands")
        if self.debt.stan != body[r.K_STAN]:
            raise JournalError("the debt's STAN is " + str(self.debt.stan))
        return self.debt

    def _check_commit(self, body: "dict[int, Any]") -> None:
        debt = self._debt(body)
        if debt.phase == REVERSAL:
            raise JournalError("the payment is being reversed")
        outcome = body[r.K_OUTCOME]
        if outcome == r.OUTCOME_REVERSE:
            return
        if debt.answer is None:
            raise JournalError("without an answer a payment can only be reversed")
        approved = debt.answer[r.K_APPROVED]
        if outcome == r.OUTCOME_APPROVED:
            if not approved:
                raise JournalError("the host did not approve")
            if debt.answer[r.K_MAC_STATE] != "ok":
                raise JournalError("an approval without a verified MAC is reversed")
        elif approved:
            raise JournalError("a host approval is committed as approved or reversed")

    # --- adding a record -------------------------------------------------

    def apply(self, sequence: int, kind: int, body: "dict[int, Any]") -> None:
        """Add a record that ``check`` let through."""
        if kind == r.RESTORING:
            self.restoring.add(sequence, body)
            return
        self.registered.apply(sequence, kind, body, self.debt)
        if kind == r.REQUEST:
            self.debt = Debt(sequence, body)
            self._stan_used(body[r.K_STAN])
        elif kind == r.ANSWER:
            self._answered(self._debt(body), body)
        elif kind in (r.UNSENT, r.REVERSED):
            if kind == r.REVERSED:
                self._reversed(sequence, body)
            self.debt = None
        elif kind == r.RELEASED:
            self._released(sequence, body)
        elif kind == r.COMMIT:
            self._committed(self._debt(body), sequence, body)
        elif kind == r.REVERSAL_SENT:
            debt = self._debt(body)
            debt.phase = REVERSAL
            debt.attempts = body[r.K_ATTEMPT]
            debt.reason = body.get(r.K_REASON, debt.reason)
        elif kind == r.PRINTED:
            self._printed(body)
        elif kind == r.SCRIPT_DONE:
            self._scripts_done(body[r.K_STAN])
        elif kind in (r.INTENT, r.SIGNED_IN, r.SIGNED_OUT):
            self._session(kind, body)
        elif kind == r.BATCH_CLOSED:
            self.batch = self.batch % 999999 + 1
            self.totals = {}
            self.transactions = []
        elif kind == r.SETTING:
            self.settings[body[r.K_NAME]] = body[r.K_VALUE]
        elif kind == r.LOCKOUT:
            self.failures[body[r.K_WHO]] = body[r.K_FAILURES]
            if body[r.K_FAILURES] == 0:
                del self.failures[body[r.K_WHO]]
        elif kind == r.DAMAGE:
            self.unconfirmed, self.restored = True, False
        elif kind == r.CONFIRMED:
            self.unconfirmed = self.restored = False
            self._merchants_slip(0, sequence, body)
        elif kind == r.RESTORED:
            self._restored(body)
        elif kind == r.BOOT:
            self._counted(r.C_BOOTS, self.counters.get(r.C_BOOTS, 0) + 1)
        elif kind == r.ENDED:
            self._counted(r.C_ENDS, self.counters.get(r.C_ENDS, 0) + 1)
        elif kind in (r.COUNTERS, r.SERVICED):
            for number, total in body[r.K_COUNTS].items():
                self._counted(number, total)
                if kind == r.SERVICED:
                    self.serviced[number] = total

    def absorb(self, sequence: int, kind: int, body: "dict[int, Any]") -> bool:
        """Add a record that follows lost ones. It was allowed when it was
        written, so the lost ones made it so: a debt of another STAN had ended,
        a commit's answer had come. False if it leaves something untold (the
        amount of a payment whose request is lost)."""
        if kind == r.REQUEST:
            self.debt = None
        elif kind == r.BATCH_CLOSED:
            self.debt = None
            self.batch = body[r.K_BATCH]
        elif kind in _OF_A_DEBT:
            if self.debt is not None and self.debt.stan != body[r.K_STAN]:
                self.debt = None
            if self.debt is None:
                if kind == r.REVERSED:
                    self._reversed(sequence, body)
                elif kind == r.RELEASED:
                    self._released(sequence, body)
                elif kind == r.COMMIT:
                    self._keep_receipt(sequence, body)
                return kind != r.COMMIT or body[r.K_OUTCOME] == r.OUTCOME_DECLINED
        self.apply(sequence, kind, body)
        return True

    def _check_restore(self, kind: int, body: "dict[int, Any]") -> None:
        if self.debt is not None or self.transactions or self.scripts_owed:
            raise JournalError("there are payments here: nothing is restored over them")
        restoring = self.restoring
        if kind == r.RESTORING and restoring.code == body[r.K_CODE]:
            full = len(restoring.lines) >= MAX_TRANSACTIONS
            if full or len(restoring.payments) >= MAX_PAYMENTS:
                raise JournalError("more than one batch to restore")
        if kind == r.RESTORED and restoring.lines and restoring.code != body[r.K_CODE]:
            raise JournalError("another restore was begun")

    def _restored(self, body: "dict[int, Any]") -> None:
        """The batch of a backup is the open one; a supervisor looks at it first. No debt
        comes back, and the next STAN is beyond any that was used (docs/journal.md)."""
        restoring, self.restoring = self.restoring, Restoring()
        self.stan, self.batch = body[r.K_STAN], body[r.K_BATCH]
        self.unconfirmed = self.restored = True
        if restoring.code != body[r.K_CODE]:
            return  # it brought nothing
        for line in restoring.lines:
            one = Transaction(
                line.stan, line.sequence, line.type, line.currency, line.amount, APPROVED
            )
            self.transactions.append(one)
            if line.reversed:
                one.status = REVERSED
            else:
                self._count(line.type, line.currency, 1, line.amount)
            if line.owed:
                self._owe_print(PrintOwed(line.stan, line.sequence, [r.COPY_CUSTOMER]))
        self.registered.restore(restoring.payments)

    def _stan_used(self, stan: int) -> None:
        self.stan = stan % 999999 + 1

    def skip_stans(self, count: int) -> None:
        """Pass over STANs that lost records may have used."""
        self.stan = (self.stan - 1 + count) % 999999 + 1

    def _counted(self, number: int, total: int) -> None:
        """A counter never goes back, whatever was lost or put back."""
        self.counters[number] = min(max(self.counters.get(number, 0), total), r.MAX_COUNT)

    def _session(self, kind: int, body: "dict[int, Any]") -> None:
        if r.K_STAN in body:
            self._stan_used(body[r.K_STAN])
        if kind == r.SIGNED_IN:
            self.signed_in = True
            self.key_set = body[r.K_KEY_SET]
            self.batch = body[r.K_BATCH]
        elif kind == r.SIGNED_OUT:
            self.signed_in = False

    def _answered(self, debt: Debt, body: "dict[int, Any]") -> None:
        debt.answer = body
        debt.phase = ANSWERED
        # Why a reversal would be due if nothing more followed (dialect, field 39 of 0400).
        debt.reason = r.REASON_FAULT if body[r.K_MAC_STATE] == "ok" else r.REASON_MAC

    def _committed(self, debt: Debt, sequence: int, body: "dict[int, Any]") -> None:
        stan = debt.stan
        results = body.get(r.K_SCRIPT_RESULTS, b"")
        self._keep_receipt(sequence, body)
        if body[r.K_OUTCOME] == r.OUTCOME_REVERSE:
            debt.phase = REVERSAL
            debt.reason = body.get(r.K_REASON, debt.reason)
            debt.scripts = bytes(results)
            debt.emv = body.get(r.K_EMV, {})
            return
        if results:
            self.scripts_owed.append(ScriptOwed(debt.request, debt.answer, bytes(results)))
        if body[r.K_OUTCOME] == r.OUTCOME_APPROVED:
            request = debt.request
            amount = debt.approved_amount(body)
            type_, currency = request[r.K_TYPE], request[r.K_CURRENCY]
            self.transactions.append(Transaction(stan, sequence, type_, currency, amount, APPROVED))
            self._count(type_, currency, 1, amount)
            self._owe_print(PrintOwed(stan, sequence, []))
        self.debt = None

    def _reversed(self, sequence: int, body: "dict[int, Any]") -> None:
        self._uncount(body[r.K_STAN])
        self._merchants_slip(body[r.K_STAN], sequence, body)

    def _released(self, sequence: int, body: "dict[int, Any]") -> None:
        """A supervisor gave up the debt, or script results, of this STAN."""
        stan = body[r.K_STAN]
        if self.debt is not None and self.debt.stan == stan:
            self.debt = None
        else:
            self._scripts_done(stan)
        self._merchants_slip(stan, sequence, body)

    def _scripts_done(self, stan: int) -> None:
        self.scripts_owed = [owed for owed in self.scripts_owed if owed.stan != stan]

    def _merchants_slip(self, stan: int, sequence: int, body: "dict[int, Any]") -> None:
        """The merchant's copy alone is owed: no customer waits for one."""
        if self._keep_receipt(sequence, body):
            self._owe_print(PrintOwed(stan, sequence, [r.COPY_CUSTOMER]))

    def _keep_receipt(self, sequence: int, body: "dict[int, Any]") -> bool:
        if r.K_RECEIPT not in body:
            return False
        self.last_receipt, self.last_receipt_sequence = body, sequence
        return True

    def _owe_print(self, owed: PrintOwed) -> None:
        self.print_owed.append(owed)
        self.print_owed = self.print_owed[-MAX_PRINTS:]

    def _count(self, type_: str, currency: int, count: int, amount: int) -> None:
        before = self.totals.get((type_, currency), (0, 0))
        after = (before[0] + count, before[1] + amount)
        if after[0]:
            self.totals[(type_, currency)] = after
        elif (type_, currency) in self.totals:
            del self.totals[(type_, currency)]

    def _uncount(self, stan: int) -> None:
        for one in self.transactions:
            if one.stan == stan and one.status == APPROVED:
                one.status = REVERSED
                self._count(one.type, one.currency, -1, -one.amount)

    def _printed(self, body: "dict[int, Any]") -> None:
        """The merchant's copy ends it; a cardholder's is asked for once, at the sale."""
        copy = body[r.K_COPY]
        left = []
        for owed in self.print_owed:
            if body.get(r.K_SEQUENCE, owed.sequence) == owed.sequence and (
                body.get(r.K_STAN, owed.stan) == owed.stan
            ):
                if copy != r.COPY_CUSTOMER:
                    continue
                if copy not in owed.printed:
                    owed.printed = sorted(owed.printed + [copy])
            left.append(owed)
        self.print_owed = left

    def oldest_needed(self) -> int:
        """The lowest sequence that a reprint or the batch may still ask for; 0: none."""
        needed = [one.sequence for one in self.transactions]
        needed += [owed.sequence for owed in self.print_owed]
        needed += [line.sequence for line in self.restoring.lines]
        if self.debt is not None:
            needed.append(self.debt.sequence)
        return min(needed) if needed else 0
