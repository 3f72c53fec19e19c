"""Power cuts at every disk event of a vault's life, on the real files driver.

After any cut and any fate of what was not synced, the vault opens, holds the
old keys or the new ones whole, and a journal position that was noted stays.
"""

from collections.abc import Awaitable, Callable

import pytest

from firmware.drivers.soft_vault import SoftVault
from firmware.hal.files import FilesError
from firmware.hal.vault import VaultTampered
from tests.support import vault_parts as parts
from tests.support.faulty_disk import FaultyDisk, PowerCut
from tests.support.virtual_time import run

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

_NEW = parts.field62([parts.MAC_KEY * 2, parts.PIN_KEY])


class _Life:
    """A vault's life, and what it was promised before the power went."""

    def __init__(self, disk: FaultyDisk) -> None:
        self.disk = disk
        self.vault = SoftVault(disk.files(), parts.SeededEntropy())
        self.noted = (0, 0)
        self.sets = {0}

    async def run(self) -> None:
        vault = self.vault
        await vault.open()
        await vault.install_transport(parts.TRANSPORT, True)
        await vault.install_tmk(parts.tmk_block())
        await self._keys(1, parts.field62([parts.PIN_KEY, parts.MAC_KEY]))
        await self._note(1, 1)
        await self._note(1, 2)
        await self._keys(2, _NEW)
        await self._note(1, 3)

    async def _keys(self, key_set: int, block: bytes) -> None:
        self.sets.add(key_set)
        await self.vault.install_working_keys(block, key_set)
        self.sets = {key_set}

    async def _note(self, epoch: int, sequence: int) -> None:
        await self.vault.note_journal(epoch, sequence)
        self.noted = (epoch, sequence)


def _rebooted(disk: FaultyDisk, fates: tuple[int, ...] | None = None) -> FaultyDisk:
    twin = disk.clone()
    twin.reboot(fates)
    return twin


async def _until_cut(act: Callable[[], Awaitable[None]]) -> bool:
    try:
        await act()
    except PowerCut:
        return True
    return False


async def _judge(life: _Life, disk: FaultyDisk) -> SoftVault:
    vault = SoftVault(disk.files(), parts.SeededEntropy(b"later"))
    await vault.open()
    position = await vault.journal_position()
    assert life.noted <= position <= (1, 3)
    held = await vault.key_set()
    assert held in life.sets
    slots = await vault.status()
    assert ("pin" in slots) == ("mac" in slots) == (held != 0)
    if held:
        assert slots["mac"].algorithm == ("des" if held == 1 else "tdes2")
    return vault


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_every_cut_once(before: bool) -> None:
    async def main() -> None:
        total = FaultyDisk()
        await _Life(total).run()
        assert total.events > 30
        for at in range(total.events + 1):
            trial = FaultyDisk(at)
            life = _Life(trial)
            (trial.cut_before if before else trial.cut_after)(at)
            if not await _until_cut(life.run):
                continue
            for fates in trial.fates(limit=16):
                await _judge(life, _rebooted(trial, fates))

    run(main())


def test_every_cut_and_another_while_recovering() -> None:
    async def main() -> None:
        total = FaultyDisk()
        await _Life(total).run()
        for at in range(total.events):
            trial = FaultyDisk(at)
            life = _Life(trial)
            trial.cut_after(at)
            assert await _until_cut(life.run)
            for again in range(12):
                disk = _rebooted(trial)

                async def recover(disk: FaultyDisk = disk, life: _Life = life) -> None:
                    vault = await _judge(life, disk)
                    await vault.note_journal(1, 3)

                disk.cut_after(again)
                if not await _until_cut(recover):
                    break
                vault = await _judge(life, _rebooted(disk))
                await vault.note_journal(1, 4)

    run(main())


def test_erase_is_whole_at_any_cut() -> None:
    """Either the vault is as it was (nothing reached the disk) or it is erased."""

    async def main() -> None:
        erased = untouched = 0
        for at in range(12):
            trial = FaultyDisk(at)
            life = _Life(trial)
            await life.run()
            trial.cut_after(at)
            if not await _until_cut(life.vault.erase):
                break
            for fates in trial.fates(limit=16):
                vault = SoftVault(_rebooted(trial, fates).files(), parts.SeededEntropy())
                try:
                    await vault.open()
                except VaultTampered as error:
                    assert "erased itself" in error.detail
                    erased += 1
                else:
                    assert await vault.key_set() == 2
                    untouched += 1
        assert erased and untouched

    run(main())


def test_a_note_is_one_barrier_on_the_real_driver() -> None:
    async def main() -> None:
        disk = FaultyDisk()
        life = _Life(disk)
        await life.run()
        before = disk.barriers
        for sequence in range(4, 104):
            await life.vault.note_journal(1, sequence)
        assert disk.barriers - before == 100

    run(main())


def test_a_failing_sync_is_not_built_upon() -> None:
    async def main() -> None:
        disk = FaultyDisk()
        life = _Life(disk)
        await life.run()
        disk.fail_syncs(1)
        with pytest.raises(FilesError):
            await life.vault.note_journal(1, 4)
        await life.vault.note_journal(1, 5)
        disk.cut_after(0)
        for fates in disk.fates(limit=16):
            vault = SoftVault(_rebooted(disk, fates).files(), parts.SeededEntropy())
            await vault.open()
            assert await vault.journal_position() == (1, 5)

    run(main())
