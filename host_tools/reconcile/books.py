"""Keeps what a settlement file said, and tells how it compared."""

import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from host_tools.reconcile.column_map import ColumnMap
from host_tools.reconcile.lines import Line, read_lines
from host_tools.reconcile.match import (
    AMOUNT,
    DATE,
    DUPLICATE,
    FEE,
    MATCHED,
    MISSING_HERE,
    MISSING_THERE,
    PENDING,
    WELL,
    Result,
    compare,
    signed,
)
from host_tools.reports.amounts import local_text, moment_text, printable
from host_tools.reports.report import COUNT, MONEY, WORD, WORDS, Column, Report, Row
from host_tools.store.books import SettlementFile, SettlementLine
from host_tools.texts import said

F: Any = SettlementFile.__table__.c
L: Any = SettlementLine.__table__.c
_AT_ONCE = 1000
STATES = (MATCHED, AMOUNT, FEE, DATE, MISSING_HERE, MISSING_THERE, DUPLICATE, PENDING)


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_all(path: Path, how: ColumnMap) -> list[Line]:
    """Every payment of the file, before a row of the database is changed. UserError."""
    return list(read_lines(path, how))


def compared(
    connection: Connection, name: str, mark: str, lines: list[Line], how: ColumnMap, now: int,
    keep: bool,
) -> list[Result]:  # fmt: skip
    """Compare, and with ``keep`` store what the lines say in place of what an earlier reading
    of the same bytes (``mark``: their digest) stored."""
    file_id = connection.scalar(select(F.id).where(F.digest == mark))
    results = compare(connection, lines, how.calendar, file_id)
    if keep and lines:
        days = [line.day.isoformat() for line in lines]
        told = {
            "name": printable(name), "map_name": how.name, "imported_at": now,
            "first_day": min(days), "last_day": max(days),
        }  # fmt: skip
        if file_id is None:
            connection.execute(insert(SettlementFile).values(digest=mark, **told))
            file_id = connection.scalar(select(F.id).where(F.digest == mark))
        else:
            connection.execute(update(SettlementFile).where(F.id == file_id).values(**told))
            connection.execute(delete(SettlementLine).where(L.file_id == file_id))
        rows = [_row(file_id, result, how) for result in results if result.line is not None]
        for at in range(0, len(rows), _AT_ONCE):
            connection.execute(insert(SettlementLine), rows[at : at + _AT_ONCE])
    return results


def _row(file_id: int | None, result: Result, how: ColumnMap) -> Row:
    line, payment = result.line, result.payment
    assert line is not None
    settled = line.settled or how.calendar.due(line.day)
    return {
        "file_id": file_id, "line": line.number, "day": line.day.isoformat(),
        "settled_day": settled.isoformat(), "type": line.type, "amount": line.amount,
        "fee": line.fee, "net": line.net, "currency": line.currency, "exponent": line.exponent,
        "rrn": line.rrn, "auth_code": line.auth_code, "pan_masked": line.card,
        "merchant_id": line.merchant, "terminal_no": line.terminal, "state": result.state,
        "detail": "; ".join(result.details),
        "terminal_id": payment.terminal_id if payment is not None else None,
        "epoch": payment.epoch if payment is not None else None,
        "request_sequence": payment.request_sequence if payment is not None else None,
    }  # fmt: skip


def counts(results: list[Result]) -> dict[str, int]:
    """How many there are in each state."""
    return {state: sum(one.state == state for one in results) for state in STATES}


def well(results: list[Result]) -> bool:
    """Whether everything matches."""
    return all(one.state in WELL for one in results)


def report(name: str, results: list[Result], everything: bool) -> Report:
    """The differences, or with ``everything`` every line, and how many there are of each."""
    rows = [_shown(one) for one in results if everything or one.state not in WELL]
    columns = [
        Column("state", said("State"), WORD),
        Column("line", said("Line")),
        Column("day", said("Day")),
        Column("terminal", said("Terminal")),
        Column("card", said("Card")),
        Column("rrn", said("RRN")),
        Column("currency", said("Currency")),
        Column("here", said("Here"), MONEY),
        Column("there", said("There"), MONEY),
        Column("fee", said("Fee charged"), MONEY),
        Column("detail", said("Detail")),
    ]
    made = Report(
        "reconcile", said("Reconciliation of {name}", name=printable(name)), columns, rows
    )
    told = counts(results)
    made.about = {"file": name, "well": well(results), "counts": told}
    made.empty = said("No differences.") if results else said("The file has no payment.")
    made.notes = [f"{said(WORDS[state])}: {count}" for state, count in told.items() if count]
    return made


def _shown(one: Result) -> Row:
    line, payment = one.line, one.payment
    about = line if line is not None else payment
    return {
        "state": one.state,
        "line": line.number if line is not None else "",
        "day": line.day.isoformat() if line is not None else local_text(payment.local_time)[:10],
        "terminal": payment.serial if payment is not None else line.terminal if line else "",
        "card": (line.card if line is not None else payment.pan_masked) or "",
        "rrn": about.rrn or "",
        "currency": about.currency, "exponent": about.exponent,
        "here": signed(payment) if payment is not None else None,
        "there": line.amount if line is not None else None,
        "fee": line.fee if line is not None else None,
        "fee_expected": one.fee,
        "detail": "; ".join(one.details),
    }  # fmt: skip


def files(connection: Connection) -> Report:
    """The files that were read, and how many of their lines match."""
    count = func.count
    rows = [
        dict(row._mapping) | {"imported": moment_text(row.imported_at)}
        for row in connection.execute(
            select(
                F.name, F.first_day, F.last_day, F.imported_at, count().label("lines"),
                count().filter(L.state == MATCHED).label("matched"), F.digest,
            )
            .select_from(SettlementFile).join(SettlementLine, L.file_id == F.id)
            .group_by(*F).order_by(F.first_day, F.digest)
        )
    ]  # fmt: skip
    columns = [
        Column("name", said("File")),
        Column("first_day", said("From")),
        Column("last_day", said("To")),
        Column("imported", said("Read at")),
        Column("lines", said("Lines"), COUNT),
        Column("matched", said("Matched"), COUNT),
    ]
    made = Report("files", said("Settlement files"), columns, rows)
    made.empty = said("No file was read yet.")
    return made
