"""The store's payments and terminals, for programs."""

import base64
import binascii
from typing import Any

from sqlalchemy import Connection, select

from host_tools.reports.amounts import moment_text
from host_tools.rest.problems import Problem
from host_tools.store.models import Payment, Terminal
from host_tools.store.outbox import shown

P: Any = Payment.__table__.c
T: Any = Terminal.__table__.c
MOST = 500


def terminals(connection: Connection) -> list[dict[str, Any]]:
    """Terminals that were synced, by serial number."""
    rows = connection.execute(
        select(T.serial, T.name, T.board, T.firmware, T.last_seen).order_by(T.serial)
    )
    return [dict(row._mapping) | {"last_seen": moment_text(row.last_seen)} for row in rows]


def payments(
    connection: Connection, after: str, limit: int, first: str, last: str, serial: str,
    outcome: str,
) -> dict[str, Any]:  # fmt: skip
    """A page of payments as they came, and the cursor of the next; None where there is no
    next yet: ask with the last one again. Problem."""
    statement = select(T.serial, *P).join(Terminal, T.id == P.terminal_id)
    if after:
        place = _place(after)
        row = connection.execute(select(P.epoch, P.request_sequence, T.serial)
                                 .join(Terminal, T.id == P.terminal_id)
                                 .where(P.id == place[0])).first()  # fmt: skip
        if row is None or (row.serial, row.epoch, row.request_sequence) != place[1:]:
            raise Problem("cursor_gone")
        statement = statement.where(P.id > place[0])
    if first:
        statement = statement.where(P.business_date >= first)
    if last:
        statement = statement.where(P.business_date <= last)
    if serial:
        statement = statement.where(T.serial == serial)
    if outcome:
        statement = statement.where(P.outcome == outcome)
    rows = connection.execute(statement.order_by(P.id).limit(limit + 1)).all()
    kept = rows[:limit]
    return {
        "payments": [shown(row.serial, row._asdict()) for row in kept],
        "cursor": _cursor(kept[-1]) if kept else after,
        "more": len(rows) > limit,
    }


def _cursor(row: Any) -> str:
    text = f"{row.id} {row.epoch} {row.request_sequence} {row.serial}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[int, str, int, int]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        number, epoch, sequence, serial = text.split(" ", 3)
        place = int(number), serial, int(epoch), int(sequence)
    except (ValueError, binascii.Error, UnicodeError):
        raise Problem("bad_request", "cursor") from None
    if not all(0 <= part < 1 << 63 for part in (place[0], *place[2:])):
        raise Problem("bad_request", "cursor")
    return place
