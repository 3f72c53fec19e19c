"""What a restore has brought so far: part of the journal's fold (docs/journal.md, Restoring).

Nothing of it counts before its RESTORED record stands; another restore's first record
throws it away.
"""

from firmware.payment.journal import records as r
from firmware.payment.journal.registered import DIGEST, RELEASED, UNKNOWN, Payment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Line:
    """One of the batch. ``sequence``: its RESTORING record, which holds the receipt;
    ``owed``: the merchant's copy was not printed yet."""

    def __init__(self, stan: int, sequence: int, type: str, currency: int) -> None:
        self.stan = stan
        self.sequence = sequence
        self.type = type
        self.currency = currency
        self.amount = 0
        self.reversed = False
        self.owed = False


class Restoring:
    """``code``: of the restore at work, "" before any."""

    def __init__(self) -> None:
        self.code = ""
        self.lines: "list[Line]" = []
        self.payments: "list[Payment]" = []

    def add(self, sequence: int, body: "dict[int, Any]") -> None:
        """A RESTORING record."""
        if body[r.K_CODE] != self.code:
            self.code = body[r.K_CODE]
            self.lines, self.payments = [], []
        if r.K_REFERENCE in body:
            self.payments.append(_payment(sequence, body))
            return
        line = Line(body[r.K_STAN], sequence, body[r.K_TYPE], body[r.K_CURRENCY])
        line.amount = body[r.K_AMOUNT]
        line.reversed = body[r.K_OUTCOME] == r.OUTCOME_REVERSED
        line.owed = body.get(r.K_COPY) == r.COPY_MERCHANT and r.K_RECEIPT in body
        self.lines.append(line)

    def rows(self) -> "list[Any]":
        """For a checkpoint."""
        lines = [
            [one.stan, one.sequence, one.type, one.currency, one.amount, one.reversed, one.owed]
            for one in self.lines
        ]
        return [self.code, lines, [one.row() for one in self.payments]]


def _payment(sequence: int, body: "dict[int, Any]") -> Payment:
    """What a reference stands for: an end that nothing could change since, else unknown for
    ever, so that it is never charged again."""
    one = Payment(body[r.K_REFERENCE], bytes(body[r.K_DIGEST][:DIGEST]))
    one.amount, one.currency = body[r.K_AMOUNT], body[r.K_CURRENCY]
    one.stan, one.batch = body.get(r.K_STAN, 0), body.get(r.K_BATCH, 0)
    one.outcome, one.sequence = body[r.K_OUTCOME], sequence
    if one.outcome == UNKNOWN:
        one.reason = RELEASED
    return one
