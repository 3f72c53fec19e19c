"""Power cuts at every disk event of a scripted day, two deep, at journal level.

The world outside the journal is the list of promises that the script made
(what a synced append returned); after any cut the journal must have kept each
of them, owe a reversal for any request without an outcome, and ask nobody's
confirmation, for a mere power cut is not damage.
"""

import random
from typing import Any

import pytest

from firmware.errors import TillError
from firmware.hal.files import Files
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from tests.support.faulty_disk import FaultyDisk, PowerCut
from tests.support.journal_script import answer, commit, fold_bytes, request
from tests.support.littlefs_flash import Flash, mount
from tests.support.noted_vault import NotedVault
from tests.support.virtual_time import run

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

SEGMENT = 2048


class _Day:
    """The script, and what it was promised before the power went."""

    def __init__(self, disk: FaultyDisk, vault: NotedVault, files: "Files | None" = None) -> None:
        self.disk = disk
        self.vault = vault
        self.files = files if files is not None else disk.files()
        vault.event = disk.event
        self.promised: list[tuple[int, int]] = []
        self.notices: list[str] = []
        self.trading = ""
        self.barriers = 0  # durable barriers so far, when the last sale began
        self.journal: Journal | None = None

    async def boot(self) -> Journal:
        journal = self.journal = Journal(self.files, self.vault, SEGMENT)
        report = await journal.open()
        self.trading = report.trading
        self.notices = [notice.code for notice in report.notices]
        return journal

    async def _add(self, kind: int, body: dict[int, Any], sync: bool = True) -> None:
        assert self.journal is not None
        sequence = await self.journal.append(kind, body, sync)
        if sync:
            self.promised.append((sequence, kind))

    async def settle_debt(self) -> None:
        assert self.journal is not None
        debt = self.journal.state.debt
        if debt is not None:
            body = {r.K_STAN: debt.stan, r.K_ATTEMPT: debt.attempts + 1}
            await self._add(r.REVERSAL_SENT, body)
            await self._add(r.REVERSED, {r.K_STAN: debt.stan, r.K_CODE: "00"})

    async def sale(self, outcome: str) -> None:
        assert self.journal is not None
        await self._add(r.NOTICE, {r.K_CODE: "idle"}, sync=False)  # may meet a roll-over
        await self.journal.reserve()
        self.barriers = self.disk.barriers + self.vault.notes
        stan = self.journal.state.stan
        await self._add(r.INTENT, {r.K_STAN: stan, r.K_TYPE: "sale"}, sync=False)
        await self._add(r.REQUEST, request(stan))
        await self._add(r.ANSWER, answer(stan, outcome != r.OUTCOME_DECLINED))
        await self._add(r.COMMIT, commit(stan, outcome))
        await self.settle_debt()
        if outcome == r.OUTCOME_APPROVED:
            await self._add(r.PRINTED, {r.K_STAN: stan, r.K_COPY: r.COPY_MERCHANT}, sync=False)
            await self._add(r.PRINTED, {r.K_STAN: stan, r.K_COPY: r.COPY_CUSTOMER})

    async def whole(self) -> None:
        await self.boot()
        await self.settle_debt()
        for outcome in (r.OUTCOME_APPROVED, r.OUTCOME_REVERSE, r.OUTCOME_DECLINED):
            await self.sale(outcome)


def _script(day: _Day) -> bool:
    """True if the script ran to its end."""
    try:
        run(day.whole())
    except PowerCut:
        return False
    return True


def _check(
    disk: FaultyDisk,
    vault: NotedVault,
    promised: list[tuple[int, int]],
    files: "Files | None" = None,
) -> None:
    async def main() -> None:
        day = _Day(disk, vault, files)
        journal = await day.boot()
        place = f"{disk.log[-6:]} {day.notices}"
        assert day.trading == "ok", place
        assert set(day.notices) <= {"torn_tail", "unfinished_segment"}, place
        kinds: dict[int, int] = {}
        open_stan = 0
        approved = 0
        for record in await journal.read(0, 10000):
            kinds[record.sequence] = record.kind
            if record.kind == r.REQUEST:
                assert open_stan == 0, place
                open_stan = record.body[r.K_STAN]
            elif record.kind == r.COMMIT:
                reverse = record.body[r.K_OUTCOME] == r.OUTCOME_REVERSE
                approved += record.body[r.K_OUTCOME] == r.OUTCOME_APPROVED
                open_stan = open_stan if reverse else 0
            elif record.kind == r.REVERSED:
                open_stan = 0
        for sequence, kind in promised:
            assert kinds.get(sequence) == kind, f"record {sequence} was lost: {place}"
        debt = journal.state.debt
        assert (debt.stan if debt is not None else 0) == open_stan, place
        assert sum(total[0] for total in journal.state.totals.values()) == approved, place
        before = fold_bytes(journal)
        again = _Day(disk, vault, files)
        reopened = await again.boot()
        assert fold_bytes(reopened) == before and not again.notices, place

    run(main())


def _copy(vault: NotedVault) -> NotedVault:
    twin = NotedVault()
    twin.position = vault.position
    return twin


def _prepared() -> tuple[FaultyDisk, NotedVault]:
    """A terminal that has worked before, its segment near its end."""
    disk, vault = FaultyDisk(5), NotedVault()
    assert _script(_Day(disk, vault))
    return disk, vault


def _cut_once(
    start: FaultyDisk, keeper: NotedVault, n: int, before: bool
) -> "tuple[FaultyDisk, NotedVault, _Day] | None":
    disk, vault = start.clone(), _copy(keeper)
    day = _Day(disk, vault)
    (disk.cut_before if before else disk.cut_after)(n)
    return None if _script(day) else (disk, vault, day)


def _rounds(fresh: bool) -> tuple[FaultyDisk, NotedVault, int]:
    start, keeper = (FaultyDisk(3), NotedVault()) if fresh else _prepared()
    trial = start.clone()
    first = trial.events
    assert _script(_Day(trial, _copy(keeper)))
    return start, keeper, trial.events - first


@pytest.mark.parametrize("fresh", [True, False])
def test_a_cut_at_every_event_loses_no_promise(fresh: bool) -> None:
    start, keeper, events = _rounds(fresh)
    tried = 0
    for n in range(1, events + 1):
        cut = _cut_once(start, keeper, n, True)
        assert cut is not None
        disk, vault, day = cut
        for fates in disk.fates(limit=24):
            twin = disk.clone()
            twin.reboot(fates)
            _check(twin, _copy(vault), day.promised)
            tried += 1
    assert tried > events


def _two_deep(fresh: bool, sample: "random.Random | None") -> int:
    start, keeper, events = _rounds(fresh)
    tried = 0
    for n in range(1, events + 1):
        if sample is not None and sample.random() > 0.12:
            continue
        for before in (True, False):
            cut = _cut_once(start, keeper, n, before)
            if cut is None:
                continue
            disk, vault, day = cut
            choices = list(disk.fates(limit=12))
            for fates in choices if sample is None else sample.sample(choices, 1):
                once = disk.clone()
                once.reboot(fates)
                m = 1
                while True:
                    twice, twice_vault = once.clone(), _copy(vault)
                    second = _Day(twice, twice_vault)
                    second.promised = list(day.promised)
                    twice.cut_after(m)
                    if _script(second):
                        break
                    twice.reboot()
                    _check(twice, twice_vault, second.promised)
                    tried += 1
                    m += 1 if sample is None else sample.randrange(1, 9)
    return tried


@pytest.mark.parametrize("fresh", [True, False])
def test_two_cuts_sampled(fresh: bool) -> None:
    assert _two_deep(fresh, random.Random(11)) > 50


@pytest.mark.soak
@pytest.mark.parametrize("fresh", [True, False])
def test_two_cuts_exhaustive(fresh: bool) -> None:
    assert _two_deep(fresh, None) > 1000


def _littlefs_cuts(monkeypatch: pytest.MonkeyPatch, step: int) -> int:
    """The same day on littlefs whose flash dies at program and erase n."""
    blank = Flash()
    mount(monkeypatch, blank, True)
    n = 1
    while True:
        flash, vault = blank.clone(), NotedVault()
        files = mount(monkeypatch, flash)
        start = flash.events
        flash.cut_at = start + n
        day = _Day(FaultyDisk(), vault, files)
        if _script(day):
            return n
        again = mount(monkeypatch, flash.clone())
        _check(FaultyDisk(), vault, day.promised, again)
        n += step


def test_cuts_of_the_flash_under_littlefs_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _littlefs_cuts(monkeypatch, 7) > 90


@pytest.mark.soak
def test_cuts_of_the_flash_under_littlefs_exhaustive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _littlefs_cuts(monkeypatch, 1) > 90


def test_an_approved_sale_has_six_barriers() -> None:
    async def main() -> None:
        disk, vault = FaultyDisk(), NotedVault()
        day = _Day(disk, vault)
        journal = await day.boot()
        for _ in range(20):
            await day.sale(r.OUTCOME_APPROVED)
            assert disk.barriers + vault.notes - day.barriers == 6
        assert journal.sequence > 100 and len(disk.snapshot()) > 5  # it rolled over meanwhile

    run(main())


def test_a_failed_sync_stops_the_journal_until_it_is_read_back() -> None:
    async def main() -> None:
        disk, vault = FaultyDisk(), NotedVault()
        day = _Day(disk, vault)
        journal = await day.boot()
        disk.fail_syncs()
        with pytest.raises(Exception, match="input/output error"):
            await journal.append(r.REQUEST, request(1))
        with pytest.raises(r.JournalError, match="a sync failed"):
            await journal.append(r.NOTICE, {r.K_CODE: "x"})
        disk.reboot()
        day.files = disk.files()
        again = await day.boot()
        assert day.trading == "ok"
        assert again.state.debt is None or again.state.debt.stan == 1

    run(main())


_OUTCOMES: list[tuple[int, dict[int, Any]]] = [
    (r.COMMIT, commit(1)),
    (r.COMMIT, commit(1, r.OUTCOME_REVERSE)),
    (r.REVERSED, {r.K_STAN: 1, r.K_CODE: "00"}),
]


async def _until_outcome(day: _Day, kind: int) -> Journal:
    journal = await day.boot()
    await journal.append(r.REQUEST, request(1))
    await journal.append(r.ANSWER, answer(1))
    if kind == r.REVERSED:
        await journal.append(r.REVERSAL_SENT, {r.K_STAN: 1, r.K_ATTEMPT: 1})
    return journal


@pytest.mark.parametrize(("kind", "body"), _OUTCOMES)
def test_the_state_shows_no_outcome_whose_sync_failed(kind: int, body: dict[int, Any]) -> None:
    async def main() -> None:
        disk, vault = FaultyDisk(), NotedVault()
        journal = await _until_outcome(_Day(disk, vault), kind)
        before = fold_bytes(journal)
        disk.fail_syncs()
        with pytest.raises(Exception, match="input/output error"):
            await journal.append(kind, body)
        assert fold_bytes(journal) == before
        assert journal.trading == "blocked" and "a sync failed" in journal.broken

    run(main())


def _refuses_notes(what: str) -> None:
    if what == "before vault note":
        raise TillError("the vault's storage failed")


@pytest.mark.parametrize(("kind", "body"), _OUTCOMES)
def test_a_note_that_the_vault_misses_takes_no_outcome_back(
    kind: int, body: dict[int, Any]
) -> None:
    async def main() -> None:
        disk, vault = FaultyDisk(), NotedVault()
        day = _Day(disk, vault)
        journal = await _until_outcome(day, kind)
        vault.event = _refuses_notes
        sequence = await journal.append(kind, body)
        assert journal.sequence == sequence and not journal.broken
        await journal.append(r.NOTICE, {r.K_CODE: "x"}, sync=False)
        with pytest.raises(TillError, match="storage failed"):
            await journal.reserve()
        vault.event = disk.event
        await journal.append(r.NOTICE, {r.K_CODE: "x"}, sync=False)
        assert vault.position == (1, sequence), "never past what is durable"
        await journal.reserve()
        state = fold_bytes(journal)
        disk.reboot((0,) * disk.pending)
        day.files = disk.files()
        assert fold_bytes(await day.boot()) == state and day.trading == "ok"

    run(main())


def test_a_count_of_guesses_that_the_vault_misses_is_an_error() -> None:
    async def main() -> None:
        disk, vault = FaultyDisk(), NotedVault()
        journal = await _Day(disk, vault).boot()
        vault.event = _refuses_notes
        with pytest.raises(TillError, match="storage failed"):
            await journal.append(r.LOCKOUT, {r.K_WHO: "supervisor", r.K_FAILURES: 1})
        assert journal.state.failures == {"supervisor": 1}, "it counts here all the same"

    run(main())


@pytest.mark.parametrize("room", range(0, 1200, 37))
def test_a_full_disk_is_named_and_leaves_no_half_record(room: int) -> None:
    async def main() -> None:
        disk, vault = FaultyDisk(), NotedVault()
        day = _Day(disk, vault)
        journal = await day.boot()
        await day.sale(r.OUTCOME_APPROVED)
        disk.capacity = sum(len(data) for data in disk.snapshot().values()) + room
        before = fold_bytes(journal)
        try:
            await journal.append(r.REQUEST, request(2))
        except TillError as error:
            assert error.text_key == "error.storage_full"
            assert fold_bytes(journal) == before
            disk.capacity += 100000
            await journal.append(r.REQUEST, request(2))
        again = await day.boot()
        assert not day.notices and again.state.debt is not None

    run(main())
