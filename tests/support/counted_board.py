"""A terminal's storage with a vault on it and a counter chip beside it."""

from __future__ import annotations

from firmware.drivers.soft_vault import SoftVault
from tests.support import vault_parts as parts
from tests.support.faulty_disk import FaultyDisk
from tests.support.ram_counter import RamCounter


class CountedBoard:
    """A terminal's storage and its chip; ``vault`` is a new life of it."""

    def __init__(self, disk: FaultyDisk | None = None, chip: RamCounter | None = None) -> None:
        self.disk = disk or FaultyDisk()
        self.chip = chip or RamCounter(self.disk)
        self.every = 3
        self.seed = b""

    def vault(self, counted: bool = True) -> SoftVault:
        files, entropy = (
            self.disk.files(),
            parts.SeededEntropy(self.seed + b"%d" % self.disk.events),
        )
        return SoftVault(files, entropy, None, self.chip if counted else None, self.every)

    async def opened(self, counted: bool = True) -> SoftVault:
        vault = self.vault(counted)
        await vault.open()
        return vault

    def rebooted(self, fates: tuple[int, ...] | None = None) -> CountedBoard:
        """Another board in this state, with power again."""
        disk = self.disk.clone()
        disk.reboot(fates)
        return CountedBoard(disk, self.chip.with_disk(disk))
