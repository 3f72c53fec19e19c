"""Power cuts at every disk event while PCs are paired and revoked, on the real files driver.

After any cut and any fate of what was not synced the table opens, and holds what was promised
last or what was being written, never a mixture and never nothing.
"""

import pytest

from firmware.drivers.soft_vault import SoftVault
from firmware.services.pair_table import Pair, PairTable
from tests.support import vault_parts as parts
from tests.support.faulty_disk import FaultyDisk, PowerCut
from tests.support.virtual_time import run

# Hundreds of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover


class _Life:
    """Three pairs are made, one anew, one is revoked. ``promised``: as it stood at the last
    return; ``wanted``: what was being written."""

    def __init__(self, disk: FaultyDisk) -> None:
        self.disk = disk
        self.promised: list[str] = []
        self.wanted: list[str] = []

    async def run(self) -> None:
        vault = SoftVault(self.disk.files(), parts.SeededEntropy())
        await vault.open()
        table = PairTable(self.disk.files(), vault)
        await table.load()
        for number, name in ((1, "one"), (2, "two"), (1, "anew"), (3, "three")):
            pair = Pair(bytes([number]) * 32, name, ("sync",), 0, 0)
            others = [one.name for one in table.pairs if one.key != pair.key]
            self.wanted = [*others, name]
            await table.add(pair)
            self.promised = self.wanted
        gone = table.pairs[0]
        self.wanted = self.promised[1:]
        await table.revoke(gone.fingerprint)
        self.promised = self.wanted


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_every_cut(before: bool) -> None:
    async def main() -> None:
        total = FaultyDisk()
        await _Life(total).run()
        judged = 0
        for at in range(total.events + 1):
            trial = FaultyDisk(at)
            life = _Life(trial)
            (trial.cut_before if before else trial.cut_after)(at)
            try:
                await life.run()
            except PowerCut:
                for fates in trial.fates(limit=8):
                    twin = trial.clone()
                    twin.reboot(fates)
                    vault = SoftVault(twin.files(), parts.SeededEntropy(b"later"))
                    await vault.open()
                    table = PairTable(twin.files(), vault)
                    await table.load()
                    assert [one.name for one in table.pairs] in (life.promised, life.wanted)
                    judged += 1
        assert judged > 50

    run(main())
