"""Durable journal appends against raw write+fsync and SQLite, on one disk.

The competitors take turns in short blocks, each round in another drawn order,
so that a slow spell of the disk meets all of them and none always follows the
same one. A rate is that of the median block; a ratio the median of the ratios of
each round, because a disk that others use changes its pace. The journal is measured as it
ships: the POSIX driver with its thread, checks, CBOR, CRC-32, hash chain and
segment roll-overs included. A ratio above 1 says nothing good of ours: both fsync
once a record, and a busy disk serves them at different paces; repeat it on a quiet one.
"""

import asyncio
import os
import random
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from firmware.drivers.files_posix import PosixFiles
from firmware.hal.files import AppendFile
from firmware.payment.journal import records as r
from firmware.payment.journal import segment
from firmware.payment.journal.journal import Journal
from tests.support.journal_script import sale
from tests.support.noted_vault import NotedVault

BLOCK = 4
ROUNDS = 150
#: About the size of a payment's records.
BODY = {r.K_CODE: "bench", r.K_DETAIL: "x" * 190}

Row = tuple[str, float, float, str, float, str]


class _Raw:
    def __init__(self, folder: Path, sync: bool) -> None:
        self._fd = os.open(folder / f"raw{sync}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._sync = sync
        self._data = segment.build(r.NOTICE, False, 1, 0, bytes(32), bytes(208))

    async def block(self) -> None:
        for _ in range(BLOCK):
            os.write(self._fd, self._data)
            if self._sync:
                os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class _Sqlite:
    def __init__(self, folder: Path, mode: str) -> None:
        self._db = sqlite3.connect(folder / f"{mode}.db", isolation_level=None)
        self._db.execute(f"PRAGMA journal_mode={mode}")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    async def block(self) -> None:
        for _ in range(BLOCK):
            self._db.execute("INSERT INTO log (body) VALUES (?)", (bytes(208),))

    def close(self) -> None:
        self._db.close()


class _Ours:
    def __init__(self, folder: Path) -> None:
        self._files = PosixFiles(str(folder / "journal"))
        self._journal = Journal(self._files, NotedVault())

    async def open(self) -> None:
        await self._journal.open()

    async def block(self) -> None:
        for _ in range(BLOCK):
            await self._journal.append(r.NOTICE, BODY)

    async def close(self) -> None:
        await self._journal.close()
        self._files.close()


async def _times(folder: Path) -> dict[str, list[float]]:
    """Seconds of each block by competitor, a round at the same place in each list."""
    ours = _Ours(folder)
    await ours.open()
    raw, unsynced = _Raw(folder, True), _Raw(folder, False)
    rollback, wal = _Sqlite(folder, "DELETE"), _Sqlite(folder, "WAL")
    runners = {
        "ours": ours.block,
        "raw": raw.block,
        "unsynced": unsynced.block,
        "rollback": rollback.block,
        "wal": wal.block,
    }
    names = list(runners)
    spent: dict[str, list[float]] = {name: [] for name in names}
    draw = random.Random(1)
    for _ in range(ROUNDS):
        draw.shuffle(names)
        for name in names:
            begin = time.perf_counter()
            await runners[name]()
            spent[name].append(time.perf_counter() - begin)
    await ours.close()
    for one in (raw, unsynced, rollback, wal):
        one.close()
    return spent


class _Counted(AppendFile):
    def __init__(self, files: "_CountedFiles", inner: AppendFile) -> None:
        self._files = files
        self._inner = inner

    async def append(self, data: bytes) -> None:
        await self._inner.append(data)

    async def sync(self) -> None:
        self._files.barriers += 1
        await self._inner.sync()

    async def close(self) -> None:
        await self._inner.close()


class _CountedFiles(PosixFiles):
    """The real driver; counts file and folder syncs."""

    barriers = 0

    async def open_append(self, name: str) -> AppendFile:
        return _Counted(self, await super().open_append(name))

    async def sync_folder(self) -> None:
        self.barriers += 1
        await super().sync_folder()


async def _barriers(folder: Path) -> int:
    """The most durable barriers that any of 50 approved sales needed, vault
    notes included; ``reserve`` comes before the sale and is not counted."""
    files, vault = _CountedFiles(str(folder / "barriers")), NotedVault()
    journal = Journal(files, vault)
    await journal.open()
    most = 0
    for _ in range(50):
        await journal.reserve()
        before = files.barriers + vault.notes
        await sale(journal)
        most = max(most, files.barriers + vault.notes - before)
    await journal.close()
    files.close()
    return most


def rows() -> list[Row]:
    """(name, ours, peer, unit, ratio, aim)."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".journal-") as name:
        folder = Path(name)
        spent = asyncio.run(_times(folder))
        barriers = asyncio.run(_barriers(folder))
    rate = {key: BLOCK / statistics.median(blocks) for key, blocks in spent.items()}
    synced, unsynced = 1e6 / rate["raw"], 1e6 / rate["unsynced"]
    out: list[Row] = [
        (
            "raw write+fsync against write alone (does fsync reach the disk?)",
            synced,
            unsynced,
            "us",
            synced / unsynced,
            "over 20: it does",
        )
    ]
    for what, key, aim in (
        ("raw write+fsync", "raw", "at least 0.8"),
        ("SQLite FULL, rollback journal", "rollback", "at least 2.0"),
        ("SQLite FULL, WAL", "wal", "reported"),
    ):
        ratio = statistics.median(
            their / our for our, their in zip(spent["ours"], spent[key], strict=True)
        )
        out.append((f"durable append against {what}", rate["ours"], rate[key], "1/s", ratio, aim))
    out.append(
        ("durable barriers of an approved sale", barriers, 6, "barriers", barriers / 6, "at most 1")
    )
    return out


if __name__ == "__main__":
    for row in rows():
        print(row)
