"""What tests of the PC's database share."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from host_tools.store.database import Store
from host_tools.store.models import Alarm, Payment, Record
from host_tools.store.sync import Synced, sync
from tests.support import postgres
from tests.support.journal_terminal import JournalTerminal

NOW = 1_800_000_010
#: What a fixture of a database's URL takes as parameters.
KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def new_url(kind: str, folder: Path) -> str:
    """An empty database of one of KINDS."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'store.sqlite'}"
    if postgres.why_not():
        pytest.skip(postgres.why_not())
    return postgres.server().new()


def synced(store: Store, terminal: JournalTerminal) -> Synced:
    return asyncio.run(sync(store, terminal, clock=lambda: NOW))


def rows(store: Store, table: Any) -> list[dict[str, Any]]:
    """A table's rows, without what numbers them."""
    with store.read() as connection:
        found = connection.execute(select(table.__table__)).mappings()
        kept = [{key: one[key] for key in one if key != "id"} for one in found]
    return sorted(kept, key=str)


def payments(store: Store) -> list[dict[str, Any]]:
    return sorted(rows(store, Payment), key=lambda row: (row["epoch"], row["request_sequence"]))


def alarms(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(select(Alarm.code).order_by(Alarm.id)))


def stored(store: Store) -> list[tuple[int, int]]:
    with store.read() as connection:
        query = select(Record.epoch, Record.sequence).order_by(Record.epoch, Record.sequence)
        return [(epoch, sequence) for epoch, sequence in connection.execute(query)]


def flip(data: bytes, at: int) -> bytes:
    """One bit changed."""
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
