"""Every kind of report by its name."""

import datetime
from dataclasses import dataclass

from sqlalchemy import Connection

from host_tools.reports import fees, lists, shifts, sums
from host_tools.reports.chosen import chosen, terminal_id
from host_tools.reports.report import Report


@dataclass(frozen=True)
class Asked:
    """What a command's options say; "" and 0 for what they leave out."""

    begin: str = ""
    end: str = ""
    serial: str = ""
    currency: str = ""
    test: bool = False
    number: int = 0
    age_days: int = 2


def report(
    connection: Connection, kind: str, asked: Asked, now: int, today: datetime.date
) -> Report:
    """The report ``kind``; ``now``: Unix seconds. UserError, Misuse."""
    if kind in ("x", "z"):
        terminal = terminal_id(connection, asked.serial)
        if kind == "x":
            return shifts.x_report(connection, terminal, asked.serial)
        return shifts.z_report(connection, terminal, asked.serial, asked.number)
    which = chosen(
        connection, asked.begin, asked.end, asked.serial, asked.currency, asked.test, today
    )
    if kind in sums.DIMENSIONS:
        return sums.summed(connection, kind, which)
    if kind == "queue":
        return lists.queue(connection, which, now)
    if kind == "batches":
        return lists.batches(connection, which, today, asked.age_days)
    simple = {
        "refunds": lists.refunds,
        "failed": lists.failed,
        "fees": fees.compared,
        "exceptions": lists.exceptions,
    }
    return simple[kind](connection, which)


def close(connection: Connection, serial: str, now: int) -> Report:
    """Close a terminal's shift inside the connection's transaction. UserError."""
    return shifts.close(connection, terminal_id(connection, serial), serial, now)
