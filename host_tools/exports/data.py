"""What an export is made of, read row by row in an order that no run changes."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from host_tools.exports.postings import Accounts, Entry, payment_entry, settlement_entry
from host_tools.reports.chosen import SIGNS, Chosen, P
from host_tools.reports.fees import settles
from host_tools.store.books import SettlementFile, SettlementLine
from host_tools.store.models import Payment, Terminal

T: Any = Terminal.__table__.c
L: Any = SettlementLine.__table__.c
F: Any = SettlementFile.__table__.c
#: Rows that are in memory at once.
_AT_ONCE = 2000


@dataclass(frozen=True)
class Data:
    """Payments and the settlement of ``which``."""

    connection: Connection
    which: Chosen
    accounts: Accounts

    def payments(self) -> Iterator[Any]:
        """Every payment with its terminal's ``serial`` and, once settled, ``settled_day`` and
        ``fee``."""
        return self._payments(*self.which.where())

    def entries(self) -> Iterator[Entry]:
        """The journal: approved payments and what the acquirer settled, by day."""
        taken = self._payments(*self.which.where("approved"), P.type.in_(list(SIGNS)))
        return heapq.merge(
            (payment_entry(row, self.accounts) for row in taken),
            (settlement_entry(row, self.accounts) for row in self._lines()),
            key=lambda entry: entry.day,
        )

    def currencies(self) -> list[tuple[int, int]]:
        """(currency, exponent) of the journal's entries, in order."""
        statement = select(P.currency, P.exponent).where(
            *self.which.where("approved"), P.type.in_(list(SIGNS))
        )
        found = {tuple(row) for row in self.connection.execute(statement.distinct())}
        lines = select(L.currency, L.exponent).where(*self._of_lines()).distinct()
        return sorted(found | {tuple(row) for row in self.connection.execute(lines)})

    def _payments(self, *conditions: Any) -> Iterator[Any]:
        statement = (
            select(T.serial, *P, L.settled_day, L.fee)
            .select_from(Payment).join(Terminal, T.id == P.terminal_id)
            .outerjoin(SettlementLine, settles()).where(*conditions)
            .order_by(P.business_date, P.local_time, T.serial, P.epoch, P.request_sequence)
        )  # fmt: skip
        return iter(self.connection.execution_options(yield_per=_AT_ONCE).execute(statement))

    def _of_lines(self) -> list[Any]:
        conditions = [
            L.state != "duplicate",
            L.settled_day >= self.which.first,
            L.settled_day <= self.which.last,
        ]
        if self.which.currency is not None:
            conditions.append(L.currency == self.which.currency)
        if self.which.terminal is not None:
            conditions.append(L.terminal_id == self.which.terminal)
        return conditions

    def _lines(self) -> Iterator[Any]:
        if self.which.test:
            return iter(())
        statement = (
            select(*L, F.name, F.digest)
            .select_from(SettlementLine).join(SettlementFile, F.id == L.file_id)
            .where(*self._of_lines()).order_by(L.settled_day, F.digest, L.line)
        )  # fmt: skip
        return iter(self.connection.execution_options(yield_per=_AT_ONCE).execute(statement))
