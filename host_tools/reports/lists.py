"""Lists of single payments and batches that a person goes through."""

import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from host_tools.reports import shifts
from host_tools.reports.amounts import has_letters, local_text, moment_text
from host_tools.reports.chosen import CASH, SIGNS, Chosen, P
from host_tools.reports.fees import settles, sql_sign
from host_tools.reports.report import (
    COUNT,
    MONEY,
    TEXT,
    WORD,
    Column,
    Report,
    Row,
    total_rows,
)
from host_tools.reports.sums import about, all_rows, left_out, title
from host_tools.store.books import SettlementLine
from host_tools.store.models import Alarm, Batch, Cursor, Payment, Terminal
from host_tools.texts import said

T: Any = Terminal.__table__.c
B: Any = Batch.__table__.c
L: Any = SettlementLine.__table__.c
#: A second payment of the same card and amount within this time may be the first again.
TWICE = datetime.timedelta(minutes=10)
#: No more of them are told at once.
MOST_TWICE = 1000
DAY_S = 86_400


def _payments(connection: Connection, *conditions: ColumnElement[bool]) -> list[Row]:
    """Payments with their terminal's serial number, in the order of their time."""
    rows = all_rows(
        connection,
        select(T.serial, *P).select_from(Terminal).join(Payment, P.terminal_id == T.id)
        .where(*conditions)
        .order_by(P.business_date, P.local_time, T.serial, P.epoch, P.request_sequence),
    )  # fmt: skip
    return [_row(found) for found in rows]


def _row(found: Any) -> Row:
    return {
        "time": local_text(found.local_time),
        "terminal": found.serial,
        "stan": found.stan,
        "type": found.type,
        "outcome": found.outcome,
        "response": found.response or "",
        "currency": found.currency,
        "exponent": found.exponent,
        "amount": found.amount,
        "card": found.pan_masked or "",
        "rrn": found.rrn or "",
        "cashier": found.cashier or "",
    }


def _columns(*without: str) -> list[Column]:
    headings = {
        "time": said("Time"), "terminal": said("Terminal"), "stan": said("Number"),
        "type": said("Type"), "outcome": said("Outcome"), "response": said("Answer"),
        "currency": said("Currency"), "amount": said("Amount"), "card": said("Card"),
        "rrn": said("RRN"), "cashier": said("Cashier"),
    }  # fmt: skip
    kinds = {"amount": MONEY, "type": WORD, "outcome": WORD}
    return [
        Column(key, heading, kinds.get(key, TEXT))
        for key, heading in headings.items()
        if key not in without
    ]


def refunds(connection: Connection, which: Chosen) -> Report:
    """Every refund and void that was approved."""
    back = [type for type, sign in SIGNS.items() if sign < 0]
    rows = _payments(connection, *which.where("approved"), P.type.in_(back))
    columns = _columns("outcome", "response")
    report = Report("refunds", title("refunds", which), columns, rows, about=about(which))
    report.totals = total_rows(report, "time")
    report.notes = left_out(connection, which)
    return report


def failed(connection: Connection, which: Chosen) -> Report:
    """How many payments ended without money, by outcome and the host's answer."""
    outcomes = [outcome for outcome in shifts.OUTCOMES if outcome != "approved"]
    response = func.coalesce(P.response, "")
    keys = (P.outcome, response, P.currency, P.exponent)
    found = all_rows(
        connection,
        select(P.outcome, response.label("response"), P.currency, P.exponent,
               func.count().label("count"), func.sum(P.amount).label("amount"))
        .where(*which.where(*outcomes)).group_by(*keys).order_by(*keys),
    )  # fmt: skip
    rows = [dict(row._mapping) | {"amount": int(row.amount)} for row in found]
    columns = [
        Column("outcome", said("Outcome"), WORD),
        Column("response", said("Answer")),
        Column("currency", said("Currency")),
        Column("count", said("Count"), COUNT),
        Column("amount", said("Amount asked"), MONEY),
    ]
    report = Report("failed", title("failed", which), columns, rows, about=about(which))
    report.totals = total_rows(report, "outcome")
    report.notes = left_out(connection, which)
    return report


def queue(connection: Connection, which: Chosen, now: int) -> Report:
    """Payments whose last word is not here, of whatever day, and when each terminal was seen."""
    ever = Chosen("", "9999-99-99", which.terminal, which.currency, which.test)
    rows = _payments(connection, *ever.where("unknown"))
    columns = _columns("outcome", "cashier")
    report = Report("queue", said("Payments that wait for their outcome"), columns, rows)
    report.about = {"test": which.test}
    report.empty = said("No payment waits.")
    report.totals = total_rows(report, "time") if rows else []
    seen = connection.execute(
        select(T.id, T.serial, T.last_seen, Cursor.sequence)
        .outerjoin(Cursor, Cursor.terminal_id == T.id).order_by(T.serial)
    )  # fmt: skip
    for row in seen:
        if which.terminal in (None, row.id):
            report.notes.append(
                said("terminal {serial}: synced to record {sequence}, last seen {at}, "
                     "{days} days ago", serial=row.serial, sequence=row.sequence or 0,
                     at=moment_text(row.last_seen), days=max(0, now - row.last_seen) // DAY_S)
            )  # fmt: skip
    return report


def batches(connection: Connection, which: Chosen, today: datetime.date, age_days: int) -> Report:
    """Batches whose money is not all settled; those older than ``age_days`` are an alarm."""
    sign = sql_sign()
    keys = (T.serial, P.terminal_id, P.batch, P.currency, P.exponent)
    ever = Chosen("", "9999-99-99", which.terminal, which.currency, which.test)
    found = all_rows(
        connection,
        select(
            *keys, func.count().label("count"), func.sum(sign * P.amount).label("amount"),
            func.coalesce(func.sum(L.amount), 0).label("settled"),
            func.min(P.business_date).label("since"),
        )
        .select_from(Terminal).join(Payment, P.terminal_id == T.id)
        .outerjoin(SettlementLine, settles())
        .where(*ever.where("approved"), P.tender != CASH)
        .group_by(*keys).order_by(T.serial, func.min(P.business_date), *keys),
    )  # fmt: skip
    told = {
        (row.terminal_id, row.number): row
        for row in connection.execute(select(Batch.__table__).order_by(B.id))
    }
    rows = []
    for group in found:
        batch = told.get((group.terminal_id, group.batch))
        amount, settled = int(group.amount), int(group.settled)
        if amount == settled or (batch is not None and batch.settled_at is not None):
            continue
        since = datetime.date.fromisoformat(group.since) if group.since else None
        age = max(0, (today - since).days) if since is not None else None
        rows.append(
            {
                "terminal": group.serial,
                "batch": group.batch,
                "state": "closed" if batch is not None and batch.closed_at else "open",
                "since": group.since,
                "age": age,
                "currency": group.currency,
                "exponent": group.exponent,
                "count": group.count,
                "amount": amount,
                "settled": settled,
                "unsettled": amount - settled,
                "alarm": "late" if age is None or age > age_days else "",
            }
        )
    columns = [
        Column("terminal", said("Terminal")),
        Column("batch", said("Batch")),
        Column("state", said("State"), WORD),
        Column("since", said("Since")),
        Column("age", said("Days")),
        Column("currency", said("Currency")),
        Column("count", said("Payments"), COUNT),
        Column("amount", said("Net"), MONEY),
        Column("settled", said("Settled"), MONEY),
        Column("unsettled", said("Not settled"), MONEY),
        Column("alarm", said("Alarm"), WORD),
    ]
    report = Report("batches", said("Batches that are not settled"), columns, rows)
    report.about = {"test": which.test, "age_days": age_days}
    report.empty = said("Everything is settled.")
    report.totals = total_rows(report, "terminal")
    late = sum(row["alarm"] == "late" for row in rows)
    if late:
        report.notes.append(
            said("ALARM: {count} batches wait for more than {days} days; ask the acquirer",
                 count=late, days=age_days)
        )  # fmt: skip
    return report


def exceptions(connection: Connection, which: Chosen) -> Report:
    """Everything in the period that a person should look at."""
    rows: list[Row] = []
    undated = Chosen("", "", which.terminal, which.currency, which.test)

    def add(reason: str, found: list[Row], detail: str = "") -> None:
        rows.extend({"reason": f"why_{reason}", "detail": detail} | row
                    for row in found)  # fmt: skip

    for outcome in ("unknown", "released"):
        add(outcome, _payments(connection, *which.where(outcome)))
    approved = which.where("approved")
    add("type", _payments(connection, *approved, P.type.not_in(list(SIGNS))))
    currencies = connection.scalars(select(P.currency).where(*approved).distinct())
    strange = [currency for currency in currencies if not has_letters(currency)]
    if strange:
        add("currency", _payments(connection, *approved, P.currency.in_(strange)))
    no_proof = and_(func.coalesce(P.rrn, "") == "", func.coalesce(P.auth_code, "") == "")
    add("proof", _payments(connection, *approved, P.tender != CASH, no_proof))
    add(
        "date",
        _payments(connection, *undated.where()),
    )
    add("twice", _payments(connection, P.id.in_(_twice(connection, which))))
    for closed in shifts.changed(connection, which.terminal):
        serial = _serial(connection, closed.terminal_id)
        add("z", [{"terminal": serial}], f"Z {closed.number}")
    lines = connection.execute(
        select(SettlementLine.__table__)
        .where(L.state != "matched", L.day >= which.first, L.day <= which.last)
        .order_by(L.file_id, L.line)
    )  # fmt: skip
    for line in lines:
        shown = {
            "time": line.day, "rrn": line.rrn, "card": line.pan_masked, "type": line.type,
            "currency": line.currency, "exponent": line.exponent, "amount": line.amount,
        }  # fmt: skip
        add("settlement", [shown], line.detail or line.state)
    for row in connection.execute(
        select(T.serial, Alarm.__table__).select_from(Terminal).join(Alarm)
        .where(Alarm.seen.is_(False), *([T.id == which.terminal] if which.terminal else []))
        .order_by(Alarm.id)
    ):  # fmt: skip
        add("alarm", [{"time": moment_text(row.at), "terminal": row.serial}],
            f"{row.code} {row.detail}".strip())  # fmt: skip
    columns = [
        Column("reason", said("Why"), WORD),
        Column("detail", said("Detail")),
        *_columns("response", "cashier"),
    ]
    return Report("exceptions", title("exceptions", which), columns, rows, about=about(which),
                  notes=left_out(connection, which))  # fmt: skip


def _twice(connection: Connection, which: Chosen) -> list[int]:
    """Rows of payments whose card paid the same a few minutes before, by the terminal's clock."""
    before = func.lag(P.local_time).over(
        partition_by=(P.pan_token, P.terminal_id, P.currency, P.amount, P.type),
        order_by=(P.local_time, P.id),
    )
    inner = (
        select(P.id, P.local_time, before.label("before"))
        .where(*which.where("approved"), P.pan_token.is_not(None))
        .subquery()
    )
    found = connection.execute(select(inner).where(inner.c.before.is_not(None)))
    return [row.id for row in found if _soon_after(row.before, row.local_time)][:MOST_TWICE]


def _soon_after(before: str, after: str) -> bool:
    try:
        began, ended = (datetime.datetime.strptime(at, "%Y%m%d%H%M%S") for at in (before, after))
    except ValueError:  # a record kept its day by other means
        return False
    return ended - began <= TWICE


def _serial(connection: Connection, terminal: int) -> str:
    return str(connection.scalar(select(T.serial).where(T.id == terminal)))
