"""What became of the payments that registers asked for: part of the journal's fold.

A register names its payment by a reference of its own. Here stands the outcome of the
last ones by that name, and that no reference is ever charged twice.
"""

from firmware.payment.journal import records as r
from firmware.payment.journal.records import JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.payment.journal.fold import Debt

#: So many are kept, so that a checkpoint always fits.
MAX_PAYMENTS = 32
#: Of the digest, bytes kept: they tell two requests apart.
DIGEST = 16

# Payment.outcome, beside records.OUTCOME_... but OUTCOME_REVERSE.
BEGUN = "begun"  # nothing was sent; what the power cut off there charged nobody
UNKNOWN = "unknown"  # a request stands that nothing has ended
REVERSED = "reversed"
#: Ends after which another request under the same reference may follow: none was booked.
_OPEN = (BEGUN, r.OUTCOME_DECLINED)
#: ``reason`` of an unknown that a supervisor released: nothing will ever tell.
RELEASED = "released"


class Payment:
    """One reference. ``digest``: the beginning of the one that came with it; ``amount`` in
    minor units (of an approval: what was approved); ``requested`` and ``sequence``: the
    REQUEST's record and the one that gave the outcome, 0 for none; ``reason``: a text key."""

    def __init__(self, reference: str, digest: bytes) -> None:
        self.reference = reference
        self.digest = digest
        self.amount = 0
        self.currency = 0
        self.stan = 0
        self.batch = 0
        self.outcome = BEGUN
        self.requested = 0
        self.sequence = 0
        self.reason = ""

    def row(self) -> "list[Any]":
        """What a checkpoint keeps of it; ``state_codec`` reads it back."""
        named = [self.reference, self.digest, self.amount, self.currency, self.stan, self.batch]
        return named + [self.outcome, self.requested, self.sequence, self.reason]

    @property
    def pending(self) -> bool:
        """Whether a later record will still say how it ended."""
        return self.outcome == UNKNOWN and self.reason != RELEASED

    @property
    def weight(self) -> int:
        """Of little weight goes first: what charged nobody; then what did or may have; last
        the one that a debt stands for, whose end is yet to be told."""
        if self.pending:
            return 2
        return 1 if self.outcome in (r.OUTCOME_APPROVED, UNKNOWN, REVERSED) else 0


class Payments:
    """The last of them, the newest behind."""

    def __init__(self) -> None:
        self.kept: "list[Payment]" = []

    def find(self, reference: str) -> "Payment | None":
        """The payment of that name, None if none is kept."""
        for one in self.kept:
            if one.reference == reference:
                return one
        return None

    def check(self, body: "dict[int, Any]") -> None:
        """JournalError if this record must not follow."""
        if r.K_REFERENCE not in body:
            return
        one = self.find(body[r.K_REFERENCE])
        if one is None:
            return
        if one.digest != _digest(body):
            raise JournalError("the register's reference stands for another request")
        if one.outcome not in _OPEN:
            raise JournalError("the register's reference has ended: " + one.outcome)

    def restore(self, kept: "list[Payment]") -> None:
        """Those of a backup come before what registers asked for here."""
        mine = [one.reference for one in self.kept]
        theirs = [one for one in kept if one.reference not in mine]
        self.kept = (theirs + self.kept)[-MAX_PAYMENTS:]

    def apply(self, sequence: int, kind: int, body: "dict[int, Any]", debt: "Debt | None") -> None:
        """Add a record; ``debt`` is the one that stands before it."""
        if r.K_REFERENCE in body:
            one = self._named(body[r.K_REFERENCE], _digest(body))
            self._begin(one, sequence, kind, body)
        elif kind in (r.UNSENT, r.COMMIT, r.REVERSED, r.RELEASED) and debt is not None:
            named = self.find(debt.request.get(r.K_REFERENCE, ""))
            if named is not None and debt.stan == body[r.K_STAN]:
                _end(named, sequence, kind, body, debt)

    def _named(self, reference: str, digest: bytes) -> Payment:
        one = self.find(reference)
        if one is None:
            one = Payment(reference, digest)
            self.kept.append(one)
            if len(self.kept) > MAX_PAYMENTS:
                self.kept.remove(min(self.kept[:-1], key=lambda old: old.weight))
        return one

    def _begin(self, one: Payment, sequence: int, kind: int, body: "dict[int, Any]") -> None:
        if kind == r.INTENT and one.outcome not in _OPEN:
            return  # given up while the intent was on its way: it stays given up
        one.amount = body.get(r.K_AMOUNT, one.amount)
        one.currency = body.get(r.K_CURRENCY, one.currency)
        one.stan = body.get(r.K_STAN, one.stan)
        one.batch = body.get(r.K_BATCH, one.batch)
        one.outcome, one.requested, one.sequence, one.reason = BEGUN, 0, 0, ""
        if kind == r.REQUEST:
            one.outcome, one.requested = UNKNOWN, sequence
        elif kind == r.UNCHARGED:
            one.outcome, one.sequence = body[r.K_OUTCOME], sequence
            one.reason = body[r.K_REASON]


def _end(one: Payment, sequence: int, kind: int, body: "dict[int, Any]", debt: "Debt") -> None:
    if kind == r.UNSENT:
        one.outcome, one.requested = BEGUN, 0
        return
    one.sequence = sequence
    if kind == r.REVERSED:
        one.outcome = REVERSED
    elif kind == r.RELEASED:
        one.reason = RELEASED
    elif body[r.K_OUTCOME] != r.OUTCOME_REVERSE:  # else it is unknown until REVERSED
        one.outcome = body[r.K_OUTCOME]
        if one.outcome == r.OUTCOME_APPROVED:
            one.amount = debt.approved_amount(body)


def _digest(body: "dict[int, Any]") -> bytes:
    return bytes(body[r.K_DIGEST][:DIGEST])
