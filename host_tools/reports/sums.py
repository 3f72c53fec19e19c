"""Sums over a period, by one dimension. The database adds; nothing but its groups is read."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.exc import DBAPIError

from host_tools.errors import UserError
from host_tools.reports.chosen import SIGNS, Chosen, P
from host_tools.reports.report import (
    COUNT,
    MONEY,
    NAME,
    TEXT,
    WORD,
    Column,
    Report,
    Row,
    total_rows,
)
from host_tools.store.models import Terminal
from host_tools.texts import later, said

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Dimension:
    """``key``: what the database groups by; ``place``: its value as the group that is shown
    (sorted by it); ``told``: that as text; ``kind``: how it is shown."""

    heading: str
    key: ColumnElement[Any]
    place: Callable[[Any], Any] = lambda value: value
    told: Callable[[Any], str] = str
    kind: str = TEXT


def _week(day: str) -> str:
    year, week, _ = datetime.date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02d}"


def _weekday(day: str) -> int:
    return datetime.date.fromisoformat(day).weekday()


TITLES = {
    "hour": later("Payments by hour"), "day": later("Payments by day"),
    "week": later("Payments by week"), "month": later("Payments by month"),
    "weekday": later("Payments by weekday"), "cashier": later("Payments by cashier"),
    "tender": later("Payments by tender"), "brand": later("Payments by brand"),
    "currency": later("Payments by currency"), "terminal": later("Payments by terminal"),
    "entry": later("Payments by entry mode"), "tips": later("Tips by cashier"),
    "refunds": later("Refunds and voids"), "failed": later("Payments without money"),
    "fees": later("Fees"), "exceptions": later("Exceptions"),
}  # fmt: skip
#: The hour of the terminal's own clock: both hours of a night that has one twice are one row.
_HOUR = func.substr(P.local_time, 9, 2)
DIMENSIONS = {
    "hour": Dimension(later("Hour"), _HOUR, told=lambda hour: f"{hour}:00"),
    "day": Dimension(later("Day"), P.business_date),
    "week": Dimension(later("Week"), P.business_date, _week),
    "month": Dimension(later("Month"), P.business_date, lambda day: day[:7]),
    "weekday": Dimension(later("Weekday"), P.business_date, _weekday, _WEEKDAYS.__getitem__, WORD),
    "cashier": Dimension(later("Cashier"), func.coalesce(P.cashier, ""), kind=NAME),
    "tender": Dimension(later("Tender"), P.tender, kind=WORD),
    "brand": Dimension(later("Brand"), func.coalesce(P.brand, ""), kind=NAME),
    "currency": Dimension(later("Currency"), P.currency),
    "terminal": Dimension(later("Terminal"), P.terminal_id),
    "entry": Dimension(later("Entry"), P.entry_mode, kind=WORD),
    "tips": Dimension(later("Cashier"), func.coalesce(P.cashier, ""), kind=NAME),
}


def all_rows(connection: Connection, statement: Any) -> "list[Any]":
    """The statement's rows. UserError: a sum past what the database counts to."""
    try:
        return list(connection.execute(statement))
    except DBAPIError as refusal:
        if "overflow" in str(refusal.orig) or "out of range" in str(refusal.orig):
            raise UserError(
                said("a sum is too large for the database; choose a shorter period")
            ) from None
        raise


def summed(connection: Connection, kind: str, which: Chosen) -> Report:
    """The report ``kind`` of DIMENSIONS."""
    dimension = DIMENSIONS[kind]
    statement = (
        select(
            dimension.key.label("key"), P.currency, P.exponent, P.type,
            func.count().label("count"), func.sum(P.amount).label("amount"),
            func.sum(P.tip).label("tip"),
        )
        .where(*which.where("approved"))
        .group_by(dimension.key, P.currency, P.exponent, P.type)
    )  # fmt: skip
    names = _terminals(connection) if kind == "terminal" else {}
    groups: dict[tuple[Any, int, int], Row] = {}
    strange = 0
    for found in all_rows(connection, statement):
        sign = SIGNS.get(found.type)
        if sign is None:
            strange += found.count
            continue
        place = names.get(found.key, found.key) if names else dimension.place(found.key)
        row = groups.setdefault(
            (place, found.currency, found.exponent),
            {"currency": found.currency, "exponent": found.exponent, "sales_count": 0, "sales": 0,
             "refunds_count": 0, "refunds": 0, "tips": 0, "net": 0},
        )  # fmt: skip
        into = "sales" if sign > 0 else "refunds"
        row[into] += int(found.amount)
        row[f"{into}_count"] += found.count
        row["tips"] += sign * int(found.tip)
        row["net"] += sign * int(found.amount)
    rows = [
        ({"key": dimension.told(place[0])} if kind != "currency" else {}) | groups[place]
        for place in sorted(groups)
    ]
    if kind == "tips":
        rows = [row for row in rows if row["tips"]]
    report = Report(kind, title(kind, which), _columns(kind, dimension), rows, about=about(which))
    report.totals = total_rows(report, "key") if kind != "currency" else []
    report.notes = left_out(connection, which, strange)
    return report


def _columns(kind: str, dimension: Dimension) -> list[Column]:
    first = [] if kind == "currency" else [Column("key", said(dimension.heading), dimension.kind)]
    tips = Column("tips", said("Tips"), MONEY)
    if kind == "tips":
        return [*first, Column("currency", said("Currency")), tips]
    return [
        *first,
        Column("currency", said("Currency")),
        Column("sales_count", said("Sales"), COUNT),
        Column("sales", said("Sales amount"), MONEY),
        Column("refunds_count", said("Refunds and voids"), COUNT),
        Column("refunds", said("Refunded"), MONEY),
        tips,
        Column("net", said("Net"), MONEY),
    ]


def _terminals(connection: Connection) -> dict[int, str]:
    return {row.id: row.serial for row in connection.execute(select(Terminal.id, Terminal.serial))}


def title(kind: str, which: Chosen) -> str:
    """The heading of a report over a period."""
    text = said("{report}, {first} to {last}", report=said(TITLES[kind]), first=which.first,
                last=which.last)  # fmt: skip
    return text + (" " + said("(test payments)") if which.test else "")


def about(which: Chosen) -> Row:
    """The period, for programs."""
    return {"from": which.first, "to": which.last, "test": which.test}


def left_out(connection: Connection, which: Chosen, strange: int = 0) -> list[str]:
    """Notes on payments of the period that a report does not count."""
    other = Chosen(which.first, which.last, which.terminal, which.currency, not which.test)
    count = connection.scalar(select(func.count()).select_from(P.id.table).where(
        *other.where("approved")))  # fmt: skip
    notes = []
    if count and not which.test:
        notes.append(
            said("{count} payments with test keys are left out; --test shows them", count=count)
        )
    undated = connection.scalar(
        select(func.count()).select_from(P.id.table)
        .where(P.outcome == "approved", P.test == which.test, P.business_date == "")
    )  # fmt: skip
    if undated:
        notes.append(
            said("{count} payments have no date and are in no period; see till report exceptions",
                 count=undated)
        )  # fmt: skip
    if strange:
        notes.append(
            said("{count} payments of a kind that is not known are left out; see "
                 "till report exceptions", count=strange)
        )  # fmt: skip
    return notes
