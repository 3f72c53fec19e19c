"""The journal with the shipped vault on one disk: cuts at every event of a sale."""

import pytest

from firmware.drivers.soft_vault import SoftVault
from firmware.payment.journal import fold
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from tests.support.faulty_disk import FaultyDisk, PowerCut
from tests.support.journal_script import sale
from tests.support.vault_parts import SeededEntropy
from tests.support.virtual_time import run

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover


async def _boot(disk: FaultyDisk) -> tuple[Journal, str, list[str]]:
    files = disk.files()
    vault = SoftVault(files, SeededEntropy())
    await vault.open()
    journal = Journal(files, vault, 2048)
    report = await journal.open()
    return journal, report.trading, [notice.code for notice in report.notices]


async def _day(disk: FaultyDisk) -> None:
    journal, _, _ = await _boot(disk)
    debt = journal.state.debt
    if debt is not None:
        await journal.append(r.REVERSAL_SENT, {r.K_STAN: debt.stan, r.K_ATTEMPT: debt.attempts + 1})
        await journal.append(r.REVERSED, {r.K_STAN: debt.stan, r.K_CODE: "00"})
    for outcome in (r.OUTCOME_APPROVED, r.OUTCOME_REVERSE):
        await sale(journal, outcome=outcome)


def test_a_sale_with_the_shipped_vault_has_six_barriers() -> None:
    async def main() -> None:
        disk = FaultyDisk()
        journal, _, _ = await _boot(disk)
        most = 0
        for _ in range(12):
            await journal.reserve()
            before = disk.barriers
            await sale(journal)
            most = max(most, disk.barriers - before)
        assert most == 6

    run(main())


def test_a_cut_at_every_event_needs_no_supervisor() -> None:
    start = FaultyDisk(9)
    run(_day(start))
    n = tried = 0
    while True:
        n += 1
        disk = start.clone()
        disk.cut_before(n)
        try:
            run(_day(disk))
        except PowerCut:
            for fates in disk.fates(limit=12):
                twin = disk.clone()
                twin.reboot(fates)
                journal, trading, notices = run(_boot(twin))
                assert trading == "ok", (disk.log[-5:], notices)
                debt = journal.state.debt
                assert debt is None or debt.phase in (fold.SENT, fold.ANSWERED, fold.REVERSAL)
                run(_day(twin))
                tried += 1
            continue
        break
    assert tried > n > 20


def test_a_vault_put_back_to_an_old_copy_is_named_or_harmless() -> None:
    async def main() -> None:
        disk = FaultyDisk()
        await _day(disk)
        old = disk.snapshot()
        await _day(disk)
        mixed = disk.snapshot()
        for name in mixed:
            if name.endswith(".seg"):
                mixed[name] = old.get(name, b"")
        disk.restore(mixed)
        journal, trading, notices = await _boot(disk)
        assert trading == "confirm" and notices
        await journal.confirm_damage("00")
        await sale(journal)

    run(main())
