"""The simulated disk forgets what it must, and the journal's lock holds."""

import asyncio
import errno

import pytest

from firmware import aio
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from tests.support.faulty_disk import KEPT, LOST, TORN, ZEROS, FaultyDisk, PowerCut
from tests.support.journal_script import fold_bytes, request
from tests.support.memory_files import MemoryFiles
from tests.support.noted_vault import NotedVault
from tests.support.virtual_time import run


def _synced(disk: FaultyDisk, name: str, data: bytes) -> int:
    handle = disk.open(name, False)
    disk.write(handle, data)
    disk.fsync(handle)
    disk.fsync_folder()
    return handle


def test_unsynced_writes_meet_every_fate() -> None:
    disk = FaultyDisk()
    handle = _synced(disk, "x", b"a" * 500)
    disk.write(handle, b"b" * 600)  # 12 bytes to the sector's end, 512, 76
    assert disk.pending == 3
    for fates, content in (
        ((LOST, LOST, LOST), b"a" * 500),
        ((KEPT, KEPT, KEPT), b"a" * 500 + b"b" * 600),
        ((LOST, KEPT, LOST), b"a" * 500 + bytes(12) + b"b" * 512),
        ((KEPT, ZEROS, KEPT), b"a" * 500 + b"b" * 12 + bytes(512) + b"b" * 76),
    ):
        twin = disk.clone()
        twin.reboot(fates)
        assert twin.snapshot() == {"x": content}
    twin = disk.clone()
    twin.reboot((KEPT, KEPT, TORN))
    left = len(twin.snapshot()["x"])
    assert 1024 <= left < 1100
    assert len(set(disk.fates(64))) == 64 and len(list(disk.fates(10))) <= 10


def test_names_need_the_folders_sync_and_a_rename_is_atomic() -> None:
    disk = FaultyDisk()
    _synced(disk, "x", b"old")
    handle = disk.open(".new-x", True)
    disk.write(handle, b"new")
    disk.fsync(handle)
    disk.rename(".new-x", "x")
    seen = set()
    for fates in disk.fates():
        twin = disk.clone()
        twin.reboot(fates)
        seen.add(twin.snapshot()["x"])
    assert seen == {b"old", b"new"}
    disk.fsync_folder()
    disk.reboot()
    assert disk.snapshot() == {"x": b"new"}


def test_a_synced_file_without_a_synced_name_can_vanish() -> None:
    disk = FaultyDisk()
    handle = disk.open("x", False)
    disk.write(handle, b"1")
    disk.fsync(handle)
    disk.reboot((LOST,))
    assert disk.snapshot() == {}


def test_cuts_fall_before_and_after_and_nothing_works_until_power_returns() -> None:
    disk = FaultyDisk()
    handle = _synced(disk, "x", b"1")
    disk.cut_before(2)
    disk.write(handle, b"2")
    with pytest.raises(PowerCut):
        disk.write(handle, b"3")
    with pytest.raises(PowerCut):
        disk.read("x", 0, -1)
    disk.reboot((KEPT,))
    assert disk.snapshot() == {"x": b"12"}
    disk.cut_after(1)
    with pytest.raises(PowerCut):
        disk.event("a socket send")
    assert disk.dead
    disk.reboot()
    disk.capacity = 3
    handle = disk.open("x", False)
    assert disk.write(handle, b"345") == 1  # what fits
    with pytest.raises(OSError) as full:
        disk.write(handle, b"6")
    assert full.value.errno == errno.ENOSPC


def test_a_power_cut_passes_through_tasks_and_protected_sections() -> None:
    async def dies() -> None:
        raise PowerCut("now")

    async def main() -> None:
        with pytest.raises(PowerCut):
            await aio.protected(dies())
        with pytest.raises(PowerCut):
            await aio.first(("a", dies()), timeout_ms=1000)

    run(main())


def test_appends_that_overlap_or_are_cancelled_stay_whole() -> None:
    async def main() -> None:
        files, vault = FaultyDisk().files(), NotedVault()
        journal = Journal(files, vault, 2048)
        await journal.open()

        async def many(code: str) -> None:
            for _ in range(30):
                await journal.append(r.NOTICE, {r.K_CODE: code})
                await aio.sleep_ms(1)

        tasks = [asyncio.get_running_loop().create_task(many(code)) for code in "abcd"]
        await aio.sleep_ms(10)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        again = Journal(files, vault, 2048)
        report = await again.open()
        assert not report.notices and fold_bytes(again) == fold_bytes(journal)
        kept = [one.sequence for one in await again.read(0, 1000)]
        assert kept == list(range(1, journal.sequence + 1)) and len(kept) > 90

    run(main())


def test_a_vault_that_fails_leaves_the_request_standing() -> None:
    class Failing(NotedVault):
        async def note_journal(self, epoch: int, sequence: int) -> None:
            if sequence:
                raise r.JournalError("the vault is gone")
            await super().note_journal(epoch, sequence)

    async def main() -> None:
        journal = Journal(MemoryFiles(), Failing())
        await journal.open()
        await journal.append(r.REQUEST, request(1))  # durable: it stands, the note is owed
        assert journal.state.debt is not None
        with pytest.raises(r.JournalError, match="gone"):
            await journal.reserve()

    run(main())
