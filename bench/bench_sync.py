"""A sync of 100,000 records over a pseudo-terminal, terminal and PC each in a process.

Both ends are the real link (frames, delivery, Noise, streams; pyserial on the PC); the records go
into SQLite with full synchronisation, chains verified and payments folded. The terminal serves
them from memory. Raw: as many bytes written and read through a pseudo-terminal. With faults, one
DATA packet in a hundred has a spoilt byte (a packet has up to 4 KiB: at one byte in a hundred none
would pass on any link). Without the link: the same records from memory into SQLite.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import tty
from pathlib import Path
from typing import Any

from bench.run import Row
from bench.sync_terminal import journal, pieces
from host_tools.pc_link.connection import Settings, connect
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.pc_link.targets import Target
from host_tools.store import database
from host_tools.store.sync import sync
from tests.support.journal_terminal import JournalTerminal, Played
from tests.support.pc_terminal import PC_KEY

RECORDS = int(os.environ.get("OPENTILL_BENCH_RECORDS", "100000"))
ROOT = Path(__file__).resolve().parent.parent


def over_the_link(records: int, faults: int, folder: Path) -> tuple[float, int]:
    """(seconds, bytes of records)."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.sync_terminal", str(records), str(faults)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    told = json.loads(child.stdout.readline())
    try:
        took = asyncio.run(_synced(told, folder))
    finally:
        child.communicate()
    return took, told["bytes"]


async def _synced(told: dict[str, Any], folder: Path) -> float:
    known = KnownTerminals(folder / "known")
    known.put(
        Known("T1", bytes.fromhex(told["key"]), board="virtual", roles=("sync",), confirmed=True,
              place=told["path"], made=1)
    )  # fmt: skip
    store = database.open(f"sqlite:///{folder / 'store.sqlite'}")
    async with connect(Target(path=told["path"]), Settings(known, PC_KEY, "Bench")) as terminal:
        begin = time.perf_counter()
        done = await sync(store, terminal)
        took = time.perf_counter() - begin
    store.close()
    assert (done.new, done.alarms) == (told["records"], []), done
    return took


class _Whole(JournalTerminal):
    """A terminal whose items are the link's."""

    def _pieces(self, after: int) -> list[dict[int, Any]]:
        return pieces(self, after)

    def _journal_ack(self, _: dict[int, Any]) -> Played:
        return Played("journal_ack", [], {})


def decode(records: int, folder: Path) -> float:
    """Seconds of a sync without a link."""
    made = _Whole()
    made.__dict__.update(journal(records).__dict__)
    store = database.open(f"sqlite:///{folder / 'store.sqlite'}")
    begin = time.perf_counter()
    done = asyncio.run(sync(store, made))
    took = time.perf_counter() - begin
    store.close()
    assert done.new == made.sequence
    return took


def raw(size: int) -> float:
    """Seconds for ``size`` bytes through a pseudo-terminal."""
    master, slave = os.openpty()
    tty.setraw(slave)
    data = os.urandom(1 << 16)

    def write() -> None:
        left = size
        while left > 0:
            left -= os.write(master, data[: min(left, len(data))])

    thread = threading.Thread(target=write)
    begin = time.perf_counter()
    thread.start()
    left = size
    while left > 0:
        left -= len(os.read(slave, 1 << 16))
    took = time.perf_counter() - begin
    thread.join()
    os.close(master)
    os.close(slave)
    return took


def rows(records: int = RECORDS) -> list[Row]:
    """(name, ours, peer, unit, ratio, aim)."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("clean", "faults", "decode")]
        for folder in folders:
            folder.mkdir()
        clean, size = over_the_link(records, 0, folders[0])
        pipe = raw(size)
        spoilt, _ = over_the_link(records, 100, folders[1])
        alone = decode(records, folders[2])
    aim = min(0.6 * records / pipe, 50000.0)
    return [
        (f"sync of {records} records over a pseudo-terminal against 50000/s or 60 % of raw",
         records / clean, aim, "1/s", records / clean / aim, "at least 1.0"),
        ("records decoded, verified, folded and stored, without the link",
         records / alone, 50000.0, "1/s", records / alone / 50000, "at least 1.0"),
        ("sync of records with 1 % of the packets spoilt against clean",
         records / spoilt, records / clean, "1/s", clean / spoilt, "at least 0.7"),
        ("bytes of records synced against raw bytes of the pseudo-terminal",
         size / clean / 1e6, size / pipe / 1e6, "MB/s", pipe / clean, "reported"),
    ]  # fmt: skip


if __name__ == "__main__":
    for row in rows():
        print(row)
