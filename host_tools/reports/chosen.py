"""Which payments a report or an export is about."""

import calendar
import datetime
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from host_tools.command_line import Misuse
from host_tools.errors import UserError
from host_tools.reports.amounts import currency_number, printable
from host_tools.store.models import Payment, Terminal
from host_tools.texts import said

P: Any = Payment.__table__.c
#: What a type does to the merchant's money; a type that is not here is in no sum.
SIGNS = {"sale": 1, "completion": 1, "refund": -1, "void": -1}
#: What the acquirer owes is every tender but this.
CASH = "cash"


@dataclass(frozen=True)
class Chosen:
    """``first`` and ``last`` business day, both within; a terminal's row or None; a currency's
    number or None; test payments in place of the others."""

    first: str
    last: str
    terminal: int | None = None
    currency: int | None = None
    test: bool = False

    def where(self, *outcomes: str) -> list[ColumnElement[bool]]:
        """Conditions on ``payment``; without ``outcomes``: whatever became of it."""
        found: list[ColumnElement[bool]] = [
            P.test == self.test,
            P.business_date >= self.first,
            P.business_date <= self.last,
        ]
        if outcomes:
            found.insert(
                0, P.outcome.in_(outcomes) if len(outcomes) > 1 else P.outcome == outcomes[0]
            )
        if self.terminal is not None:
            found.append(P.terminal_id == self.terminal)
        if self.currency is not None:
            found.append(P.currency == self.currency)
        return found


def terminal_id(connection: Connection, serial: str) -> int:
    """The row of a terminal by its serial number. UserError names those that are known."""
    row = connection.execute(select(Terminal.id).where(Terminal.serial == serial)).first()
    if row is not None:
        return int(row.id)
    known = [
        printable(one) for one in connection.scalars(select(Terminal.serial).order_by("serial"))
    ]
    if not known:
        raise UserError(said("no terminal was synced yet; run till sync first"))
    raise UserError(
        said("no terminal {serial} here; known: {known}", serial=repr(serial),
             known=", ".join(known[:20]))
    )  # fmt: skip


def chosen(
    connection: Connection, begin: str, end: str, serial: str, currency: str, test: bool,
    today: datetime.date,
) -> Chosen:  # fmt: skip
    """What the options of a command say; without days: the month of ``today``. Misuse."""
    first = days(begin, "--from")[0] if begin else today.replace(day=1).isoformat()
    last = days(end, "--to")[1] if end else max(today.isoformat(), first)
    if last < first:
        raise Misuse(said("--to {last} is before --from {first}", first=first, last=last))
    return Chosen(
        first, last,
        terminal_id(connection, serial) if serial else None,
        currency_number(currency) if currency else None,
        test,
    )  # fmt: skip


def days(text: str, option: str) -> tuple[str, str]:
    """First and last day of "2026-11-22", "2026-11" or "2026". Misuse."""
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2}){0,2}", text):
        year, month, day = (*map(int, text.split("-")), 0, 0)[:3]
        try:
            first = datetime.date(year, month or 1, day or 1)
        except ValueError:
            raise Misuse(_no_day(text, option)) from None
        month = month or 12
        return first.isoformat(), datetime.date(
            year, month, day or calendar.monthrange(year, month)[1]
        ).isoformat()
    raise Misuse(_no_day(text, option))


def _no_day(text: str, option: str) -> str:
    return said("{option} {word} is not a day; give it as 2026-11-22, 2026-11 or 2026",
                option=option, word=repr(text[:20]))  # fmt: skip
