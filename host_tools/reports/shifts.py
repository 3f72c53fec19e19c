"""X and Z: what a terminal took since its last Z, and the closing of that.

A payment is in exactly one Z: the first that is closed after its outcome is known. A Z keeps
its sums as they were, and is told the same ever after.
"""

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, false, func, insert, literal, select
from sqlalchemy.exc import IntegrityError

from host_tools.errors import UserError
from host_tools.reports.amounts import moment_text
from host_tools.reports.chosen import SIGNS, P
from host_tools.reports.report import COUNT, MONEY, WORD, Column, Report, Row
from host_tools.reports.sums import all_rows
from host_tools.store.books import ZPayment, ZReport
from host_tools.store.models import Payment
from host_tools.texts import said

Z: Any = ZReport.__table__.c
IN_Z: Any = ZPayment.__table__.c
#: Outcomes that may still change.
_OPEN = "unknown"
OUTCOMES = ("approved", "declined", "cancelled", "unknown", "reversed", "released")


def _same() -> ColumnElement[bool]:
    return and_(
        IN_Z.terminal_id == P.terminal_id,
        IN_Z.epoch == P.epoch,
        IN_Z.request_sequence == P.request_sequence,
    )


def _no_z() -> ColumnElement[bool]:
    return ~select(IN_Z.number).where(_same()).exists()


#: Payments with the Z that they are in.
_CLOSED = ZPayment.__table__.join(Payment.__table__, _same())


def _content(connection: Connection, payments: Any, *conditions: ColumnElement[bool]) -> Row:
    """The sums of ``payments`` under ``conditions``."""
    groups = all_rows(
        connection,
        select(
            P.test, P.currency, P.exponent, P.outcome, P.tender, P.type,
            func.count().label("count"), func.sum(P.amount).label("amount"),
            func.sum(P.tip).label("tips"),
        )
        .select_from(payments).where(*conditions)
        .group_by(P.test, P.currency, P.exponent, P.outcome, P.tender, P.type)
        .order_by(P.test, P.currency, P.exponent, P.outcome, P.tender, P.type),
    )  # fmt: skip
    first, last = connection.execute(
        select(func.min(P.local_time), func.max(P.local_time)).select_from(payments)
        .where(*conditions)
    ).one()  # fmt: skip
    rows = [dict(group._mapping) | {"test": bool(group.test), "amount": int(group.amount),
                                    "tips": int(group.tips)} for group in groups]  # fmt: skip
    return {"first": first or "", "last": last or "", "rows": rows}


def _net(content: Row) -> dict[tuple[int, int], int]:
    """Approved money of a content by (currency, exponent), without test payments."""
    found: dict[tuple[int, int], int] = {}
    for row in content["rows"]:
        if row["outcome"] == "approved" and not row["test"]:
            place = (row["currency"], row["exponent"])
            found[place] = found.get(place, 0) + SIGNS.get(row["type"], 0) * row["amount"]
    return found


def _grand(before: "ZReport | None", content: Row) -> list[list[int]]:
    """Money taken since the first Z: [currency, exponent, net], in order."""
    total = _net(content)
    for currency, exponent, net in json.loads(before.content)["grand"] if before else ():
        total[(currency, exponent)] = total.get((currency, exponent), 0) + net
    return [[*place, total[place]] for place in sorted(total)]


def _last(connection: Connection, terminal: int) -> "ZReport | None":
    row = connection.execute(
        select(ZReport.__table__).where(Z.terminal_id == terminal)
        .order_by(Z.number.desc()).limit(1)
    ).first()  # fmt: skip
    return ZReport(**row._mapping) if row else None


def x_report(connection: Connection, terminal: int, serial: str) -> Report:
    """What would be in the next Z, and what waits for its outcome."""
    before = _last(connection, terminal)
    content = _content(connection, P.id.table, P.terminal_id == terminal, _no_z())
    content["grand"] = _grand(before, content)
    number = before.number if before else 0
    text = said("X of terminal {serial}, since Z {number}", serial=serial, number=number)
    return _report("x", text, serial, content, {"since": number})


def z_report(connection: Connection, terminal: int, serial: str, number: int) -> Report:
    """Z ``number`` (0: the last) as it was closed. UserError: there is none."""
    found = _last(connection, terminal)
    if number and found is not None:
        row = connection.execute(
            select(ZReport.__table__).where(Z.terminal_id == terminal, Z.number == number)
        ).first()
        found = ZReport(**row._mapping) if row else None
    if found is None:
        raise UserError(
            said("terminal {serial} has no Z {number}; till report z --close closes one",
                 serial=serial, number=number or "")
        )  # fmt: skip
    content = json.loads(found.content)
    text = said("Z {number} of terminal {serial}, closed {at}", number=found.number,
                serial=serial, at=moment_text(found.closed_at))  # fmt: skip
    about = {"number": found.number, "closed_at": found.closed_at}
    report = _report("z", text, serial, content, about)
    if changed(connection, terminal, found.number):
        report.notes.append(
            said("The payments of this Z are not what they were when it was closed.")
        )
    return report


def changed(connection: Connection, terminal: int | None, number: int = 0) -> list[ZReport]:
    """Every Z whose payments' approved money is another now; of one terminal, or one Z."""
    those, inside = [], [P.outcome == "approved", P.test == false()]
    if terminal is not None:
        those.append(Z.terminal_id == terminal)
        inside.append(IN_Z.terminal_id == terminal)
    if number:
        those.append(Z.number == number)
        inside.append(IN_Z.number == number)
    keys = (IN_Z.terminal_id, IN_Z.number, P.currency, P.exponent, P.type)
    now: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
    for row in all_rows(
        connection,
        select(*keys, func.sum(P.amount).label("amount"))
        .select_from(_CLOSED).where(*inside).group_by(*keys),
    ):  # fmt: skip
        net = now.setdefault((row.terminal_id, row.number), {})
        place = (row.currency, row.exponent)
        net[place] = net.get(place, 0) + SIGNS.get(row.type, 0) * int(row.amount)
    closed = connection.execute(
        select(ZReport.__table__).where(*those).order_by(Z.terminal_id, Z.number)
    )
    reports = [ZReport(**row._mapping) for row in closed]
    return [
        one
        for one in reports
        if now.get((one.terminal_id, one.number), {}) != _net(json.loads(one.content))
    ]


def close(connection: Connection, terminal: int, serial: str, now: int) -> Report:
    """Close the shift as the next Z. UserError: nothing to close, or another closes it."""
    before = _last(connection, terminal)
    number = before.number + 1 if before else 1
    inside = [P.terminal_id == terminal, P.outcome != _OPEN, _no_z()]
    picked = select(P.terminal_id, P.epoch, P.request_sequence, literal(number)).where(*inside)
    names = ["terminal_id", "epoch", "request_sequence", "number"]
    try:
        connection.execute(insert(ZPayment).from_select(names, picked))
        added = select(func.count()).where(IN_Z.terminal_id == terminal, IN_Z.number == number)
        if not connection.scalar(added):
            raise UserError(
                said("nothing to close: terminal {serial} has no payment since Z {number}",
                     serial=serial, number=number - 1)
            )  # fmt: skip
        mine = (IN_Z.terminal_id == terminal, IN_Z.number == number)
        content = _content(connection, _CLOSED, *mine)
        content["grand"] = _grand(before, content)
        connection.execute(
            insert(ZReport).values(
                terminal_id=terminal, number=number, closed_at=now,
                content=json.dumps(content, sort_keys=True, separators=(",", ":")),
            )
        )  # fmt: skip
    except IntegrityError:
        raise UserError(said("the shift is being closed by another program")) from None
    return z_report(connection, terminal, serial, number)


def _report(kind: str, text: str, serial: str, content: Row, about: Row) -> Report:
    words = {"outcome": said("Outcome"), "tender": said("Tender"), "type": said("Type")}
    columns = [
        *(Column(key, heading, WORD) for key, heading in words.items()),
        *([Column("test", said("Test"))] if any(row["test"] for row in content["rows"]) else []),
        Column("currency", said("Currency")),
        Column("count", said("Count"), COUNT),
        Column("amount", said("Amount"), MONEY),
        Column("tips", said("Tips"), MONEY),
    ]
    report = Report(kind, text, columns, content["rows"])
    report.about = {"terminal": serial, "first": content["first"], "last": content["last"], **about}
    report.empty = said("No payment in this shift.")
    net = _net(content)
    for currency, exponent, grand in content["grand"]:
        shown = {"currency": currency, "exponent": exponent}
        taken = net.get((currency, exponent), 0)
        report.totals.append({"outcome": said("Net"), "of": "shift", **shown, "amount": taken})
        report.totals.append(
            {"outcome": said("Net of all shifts"), "of": "all", **shown, "amount": grand}
        )
    return report
