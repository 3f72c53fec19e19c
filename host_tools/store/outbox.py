"""Webhooks in the store: who wants to hear of payments, and what waits to be told.

What is told of a payment is written in the transaction that writes the payment: neither is there
without the other. ``secret`` signs, and therefore stands here as it is.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, ForeignKey, Index, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from host_tools.reports.amounts import letters, moment_text
from host_tools.store.models import Base, Big, Id, Moment, Terminal

#: What became of a payment; its event is "payment." and this.
OUTCOMES = ("approved", "declined", "cancelled", "unknown", "reversed", "released")
EVENTS = tuple(f"payment.{outcome}" for outcome in OUTCOMES)
_SHOWN = (
    "type", "tender", "brand", "aid", "amount", "tip", "cashback", "exponent", "outcome",
    "response", "local_time", "business_date", "entry_mode", "rrn", "auth_code", "stan", "batch",
    "settlement_date", "merchant_id", "terminal_no", "cashier", "register_reference", "test",
)  # fmt: skip
_CARD = re.compile(r"[0-9]{4,6}\*+[0-9]{4}")


class Subscription(Base):
    """``events``: of EVENTS, with commas; ``allowed``: networks, with commas, that are refused
    otherwise."""

    __tablename__ = "webhook"

    id: Mapped[Id]
    url: Mapped[str]
    secret: Mapped[str]
    events: Mapped[str]
    allowed: Mapped[str] = mapped_column(default="")
    made: Mapped[Moment]


class Outgoing(Base):
    """One delivery. ``first_at``: when it was first tried; ``next_at``: not before; ``dead``:
    given up; ``said``: how the last try went."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index(None, "webhook_id", "dead", "id"),)

    id: Mapped[Id]
    webhook_id: Mapped[Big] = mapped_column(ForeignKey("webhook.id"))
    event: Mapped[str]
    body: Mapped[str]
    made: Mapped[Moment]
    first_at: Mapped[Moment | None]
    next_at: Mapped[Moment]
    tries: Mapped[Big] = mapped_column(default=0)
    dead: Mapped[bool] = mapped_column(default=False)
    said: Mapped[str] = mapped_column(default="")


def shown(serial: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A payment for other programs. ``id`` stays the same for good."""
    value: dict[str, Any] = {
        "id": f"{serial}-{row['epoch']}-{row['request_sequence']}",
        "terminal": serial,
        "currency": letters(row["currency"]),
    }
    value |= {name: row[name] for name in _SHOWN}
    value |= {name: moment_text(row[name]) or None for name in ("requested_at", "reversed_at")}
    card = row["pan_masked"] or ""
    value["pan_masked"] = card if _CARD.fullmatch(card) else None
    return value


def put(
    connection: Connection, terminal_id: int, rows: Iterable[Mapping[str, Any]], now: int
) -> None:
    """Payments whose outcome is new, for everyone who wants to hear of them."""
    wanted = connection.execute(select(Subscription.id, Subscription.events)).all()
    if not wanted:
        return
    serial = connection.scalar(select(Terminal.serial).where(Terminal.id == terminal_id)) or ""
    waiting = []
    for row in rows:
        event = f"payment.{row['outcome']}"
        value = {"event": event, "created": moment_text(now), "payment": shown(serial, row)}
        body = json.dumps(value, ensure_ascii=False)
        waiting += [
            {
                "webhook_id": one.id, "event": event, "body": body, "made": now,
                "first_at": None, "next_at": now, "tries": 0, "dead": False, "said": "",
            }
            for one in wanted
            if event in one.events.split(",")
        ]  # fmt: skip
    if waiting:
        connection.execute(insert(Outgoing), waiting)
