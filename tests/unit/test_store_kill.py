"""Killed at any moment, a sync loses nothing and has nothing twice."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from host_tools.store import database
from host_tools.store import sync as syncing
from host_tools.store.models import Payment, Record
from host_tools.store.rebuild import rebuild
from host_tools.store.sync import sync
from tests.support.journal_terminal import JournalTerminal

SALES = 120
ROOT = Path(__file__).resolve().parents[2]


def terminal() -> JournalTerminal:
    made = JournalTerminal(piece=9)
    made.sales(SALES)
    return made


def child(url: str, die_at: int, acks: str) -> None:
    """Sync until the statement number ``die_at``; each acknowledgement is a line of ``acks``."""
    setattr(syncing, "_MOST_BYTES", 4000)  # many transactions  # noqa: B010
    setattr(syncing, "_ACKNOWLEDGE_EVERY", 40)  # noqa: B010
    store = database.open(url)
    count = 0

    def die(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(store.engine, name, die)
    there = terminal()

    class Noted(list[tuple[int, int, bytes]]):
        def append(self, cursor: tuple[int, int, bytes]) -> None:
            with open(acks, "a") as file:
                file.write(f"{cursor[0]}\n")

    there.acks = Noted()
    asyncio.run(sync(store, there, clock=lambda: 1))
    store.close()


def run(url: str, die_at: int, acks: Path) -> int:
    code = (
        "from tests.unit import test_store_kill;"
        f"test_store_kill.child({url!r}, {die_at}, {str(acks)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_statement(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    acks = tmp_path / "acks"
    acks.touch()
    killed = 0
    for _ in range(8):
        if not run(url, draw.choice((1, 7, 20, 40, 55, 90, 130, 200)), acks):
            break
        killed += 1
        store = database.open(url)
        with store.read() as connection:
            here = connection.scalar(select(func.max(Record.sequence))) or 0
        store.close()
        told = [int(line) for line in acks.read_text().split()]
        assert max(told, default=0) <= here, "the terminal heard of what is not on the disk"
    while run(url, 0, acks):
        pass
    assert killed
    store, whole = database.open(url), database.open("sqlite://")
    asyncio.run(sync(whole, terminal(), clock=lambda: 1))
    assert rebuild(store) == []

    def content(one: database.Store) -> str:
        with one.read() as connection:
            records = connection.execute(select(Record.sequence, Record.frame)).all()
            query = select(Payment.__table__).order_by(Payment.request_sequence)
            rows = [dict(row) for row in connection.execute(query).mappings()]
        for row in rows:
            del row["id"]
        return json.dumps([[a, b.hex()] for a, b in records]) + json.dumps(rows)

    assert content(store) == content(whole)
    store.close()
    whole.close()
