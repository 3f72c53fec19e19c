"""The software vault beside a counter: old copies are noticed, power cuts are not."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from firmware import aio, board_loader
from firmware.drivers import vault_position
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.counter import (
    CounterError,
    CounterForeign,
    CounterLocked,
    CounterMissing,
    CounterUnset,
)
from firmware.hal.vault import VaultError, VaultTampered
from firmware.payment.journal.journal import Journal
from firmware.services import self_test
from host_tools import board_file
from tests.support import rig
from tests.support import vault_parts as parts
from tests.support.counted_board import CountedBoard
from tests.support.faulty_disk import PowerCut
from tests.support.journal_script import sale
from tests.support.ram_counter import RamCounter
from tests.support.virtual_time import run


def _behind(vault: SoftVault) -> bool:
    return vault._store._notes.behind


async def _until_cut(act: Callable[[], Awaitable[None]]) -> bool:
    try:
        await act()
    except PowerCut:
        return True
    return False


class _Story:
    """Two lives with their notes, and what was promised before the power went."""

    def __init__(self, board: CountedBoard) -> None:
        self.board = board
        self.noted = (0, 0)

    async def run(self) -> None:
        for epoch in (1, 2):
            vault = await self.board.opened()
            for sequence in range(1, 6):
                await self._note(vault, epoch, 10 * epoch + sequence)
            await self._note(vault, epoch + 1, 10 * epoch + 6)

    async def _note(self, vault: SoftVault, epoch: int, sequence: int) -> None:
        if (epoch, sequence) > self.noted:
            await vault.note_journal(epoch, sequence)
            self.noted = (epoch, sequence)


async def _judge(story: _Story, board: CountedBoard) -> None:
    """After any cut: open, not taken for an old copy, at the note or the next one; and
    the note after it puts every copy of before out of date."""
    before = board.disk.snapshot()
    vault = await board.opened()
    assert not _behind(vault)
    position = await vault.journal_position()
    assert story.noted <= position <= (3, 26)
    await vault.note_journal(20, 1)
    again = await board.opened()
    assert not _behind(again) and await again.journal_position() == (20, 1)
    if "vault.bin" in before:
        board.disk.restore(before)
        assert _behind(await board.opened())


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_every_cut_once(before: bool) -> None:
    async def main() -> None:
        total = CountedBoard()
        await _Story(total).run()
        steps = [line for line in total.disk.log if "counter" in line]
        assert len(steps) == 1 + 2 * 3  # made; each life's first and fourth note and new epoch
        for at in range(total.disk.events + 1):
            trial = CountedBoard()
            story = _Story(trial)
            (trial.disk.cut_before if before else trial.disk.cut_after)(at)
            if not await _until_cut(story.run):
                continue
            for fates in trial.disk.fates(limit=16):
                await _judge(story, trial.rebooted(fates))

    run(main())


@pytest.mark.soak
def test_every_cut_and_another_while_recovering() -> None:
    async def main() -> None:
        total = CountedBoard()
        await _Story(total).run()
        for at in range(total.disk.events):
            trial = CountedBoard()
            story = _Story(trial)
            trial.disk.cut_after(at)
            assert await _until_cut(story.run)
            for again in range(40):
                board = trial.rebooted()
                board.disk.cut_after(again)
                second = _Story(board)
                second.noted = story.noted
                if not await _until_cut(second.run):
                    break
                for fates in board.disk.fates(limit=8):
                    await _judge(second, board.rebooted(fates))

    run(main())


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_a_vault_that_gets_a_counter_is_never_locked_out(before: bool) -> None:
    """Cut anywhere while the counter is made. Only between chip and file is it taken for
    an old copy, which a supervisor can confirm."""

    async def main() -> None:
        start = CountedBoard()
        await (await start.opened(counted=False)).note_journal(1, 7)
        taken = 0
        for at in range(40):
            board = start.rebooted()
            (board.disk.cut_before if before else board.disk.cut_after)(at)
            ended = not await _until_cut(board.opened)
            for fates in board.disk.fates(limit=16):
                twin = board.rebooted(fates)
                vault = await twin.opened()
                if _behind(vault):
                    taken += 1
                    assert "make a counter" in board.disk.log
                    lifted = (await vault.journal_position())[0]
                    await vault.note_journal(lifted + 1, 8)
                else:
                    assert await vault.journal_position() == (1, 7)
                    await vault.note_journal(1, 8)
                assert not _behind(await twin.opened())
            if ended:
                break
        assert taken

    run(main())


def test_every_older_copy_is_noticed_and_none_that_is_not_older() -> None:
    """A copy that was made while the terminal was off, and one life with a note since."""

    async def main() -> None:
        board = CountedBoard()
        copies = [await _off(board)]
        for life in range(5):
            vault = await board.opened()
            for note in range(life % 3):
                await vault.note_journal(1, 10 * life + note + 1)
            copies.append(await _off(board))
        latest = copies[-1]
        for content in copies[1:]:
            board.disk.restore(content)
            vault = await board.opened()
            same = content["vault.seq"] == latest["vault.seq"]
            assert _behind(vault) is not same
            epoch, sequence = await vault.journal_position()
            assert (epoch == 1 and sequence == 41) if same else (epoch > 1 and sequence > 41)

    async def _off(board: CountedBoard) -> dict[str, bytes]:
        board.disk.reboot()
        return board.disk.snapshot()

    run(main())


async def _boot(board: CountedBoard, counted: bool = True) -> tuple[Journal, str, list[str]]:
    files = board.disk.files()
    entropy = parts.SeededEntropy(b"%d" % board.disk.events)
    vault = SoftVault(files, entropy, None, board.chip if counted else None)
    await vault.open()
    journal = Journal(files, vault, 2048)
    report = await journal.open()
    return journal, report.trading, [notice.code for notice in report.notices]


@pytest.mark.parametrize("counted", [True, False])
def test_vault_and_journal_put_back_together(counted: bool) -> None:
    """With a counter a supervisor is asked, no STAN and no sequence comes again;
    without one the sale in between never was."""

    async def main() -> None:
        board = CountedBoard()
        journal, _, _ = await _boot(board, counted)
        await sale(journal)
        copy = board.disk.snapshot()
        journal, _, _ = await _boot(board, counted)
        hidden = await sale(journal)
        ended = journal.sequence
        board.disk.restore(copy)
        journal, trading, notices = await _boot(board, counted)
        if not counted:
            assert trading == "ok" and journal.state.stan == hidden
            return
        assert trading == "confirm" and notices == ["journal_behind"]
        assert journal.sequence > ended
        await journal.confirm_damage("1")
        assert journal.state.stan > hidden
        await sale(journal)
        board.disk.reboot()
        _, trading, notices = await _boot(board)
        assert trading == "ok"

    run(main())


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_a_cut_does_not_take_an_old_copy_for_a_good_one(before: bool) -> None:
    """Nor lock the terminal: at every event until the supervisor's word it is asked for."""

    async def main() -> None:
        start = CountedBoard()
        journal, _, _ = await _boot(start)
        await sale(journal)
        copy = start.disk.snapshot()
        journal, _, _ = await _boot(start)
        await sale(journal)
        start.disk.restore(copy)
        for at in range(60):
            board = start.rebooted()
            (board.disk.cut_before if before else board.disk.cut_after)(at)

            async def act(board: CountedBoard = board) -> None:
                await _boot(board)

            cut = await _until_cut(act)
            for fates in board.disk.fates(limit=8):
                twin = board.rebooted(fates)
                journal, trading, _ = await _boot(twin)
                assert trading == "confirm"
                await journal.confirm_damage("1")
                await sale(journal)
                twin.disk.reboot()
                _, trading, _ = await _boot(twin)
                assert trading == "ok"
            if not cut:
                assert at > 5
                return
        raise AssertionError("the boot had no end")

    run(main())


def test_a_second_copy_does_not_fit_the_first() -> None:
    """The vault's files of before two damages, the journal of after them."""

    async def main() -> None:
        board = CountedBoard()
        journal, _, _ = await _boot(board)
        await sale(journal)
        old = board.disk.snapshot()
        for _ in range(2):
            damaged = board.disk.snapshot()
            name = max(name for name in damaged if name.endswith(".seg"))
            damaged[name] = damaged[name][:-200]
            board.disk.restore(damaged)
            journal, trading, _ = await _boot(board)
            assert trading == "confirm"
            await journal.confirm_damage("1")
        mixed = board.disk.snapshot()
        mixed.update({name: old[name] for name in ("vault.seq", "vault.bin", "device.key")})
        vault = await board.opened()
        epoch, sequence = await vault.journal_position()
        assert epoch == 3
        await vault.note_journal(epoch, sequence + 1)
        board.disk.restore(mixed)
        _, trading, notices = await _boot(board)
        assert trading == "confirm" and notices

    run(main())


def test_a_step_that_fails_is_made_up_for_and_nothing_is_noted_twice() -> None:
    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        board.chip.lose = CounterError("no answer")  # it was done
        with pytest.raises(CounterError, match="no answer"):
            await vault.note_journal(1, 1)
        size = len(board.disk.snapshot()["vault.seq"])
        assert board.chip.steps == 1
        await vault.note_journal(1, 1)
        assert board.chip.steps == 1 and len(board.disk.snapshot()["vault.seq"]) == size
        await vault.note_journal(1, 2)
        board.chip.fail = CounterLocked("for a while")
        await vault.note_journal(1, 3)  # no step is due
        for _ in range(3):
            with pytest.raises(CounterLocked):
                await vault.note_journal(1, 4)
        assert await vault.journal_position() == (1, 4)
        with pytest.raises(CounterLocked):
            await vault.note_journal(1, 5)  # not before the step
        assert await vault.journal_position() == (1, 4) and board.chip.steps == 1
        board.chip.fail = None
        await vault.note_journal(1, 5)
        assert board.chip.steps == 2
        again = await board.opened()
        assert not _behind(again) and await again.journal_position() == (1, 5)

    run(main())


def test_a_boot_without_a_note_wears_nothing() -> None:
    async def main() -> None:
        board = CountedBoard()
        board.every = 32
        for _ in range(20):
            vault = await board.opened()
        assert board.chip.steps == 0
        for sequence in range(1, 321):
            await vault.note_journal(1, sequence)
        assert board.chip.steps == 10
        again = await board.opened()
        await again.note_journal(1, 321)
        assert board.chip.steps == 11
        big = await board.opened()
        for sequence in range(400, 2600):  # the file is made small while it runs
            await big.note_journal(1, sequence)
        assert len(board.disk.snapshot()["vault.seq"]) <= 65536
        last = await board.opened()
        assert await last.journal_position() == (1, 2599) and not _behind(last)

    run(main())


def test_what_does_not_belong_together_is_named() -> None:
    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        await vault.note_journal(1, 1)
        with pytest.raises(VaultError, match="the board names none") as caught:
            await board.opened(counted=False)
        assert not isinstance(caught.value, VaultTampered)
        board.chip.value -= 2  # a chip that does not remember
        with pytest.raises(CounterForeign, match="stands at 0, the vault left it at 2"):
            await board.opened()
        board.chip.value += 2
        kept, board.chip.owner = board.chip.owner, b""
        with pytest.raises(CounterUnset):
            await board.opened()
        board.chip.owner = b"another"
        with pytest.raises(CounterForeign):
            await board.opened()
        board.chip.owner = kept
        other = CountedBoard()
        other.seed = b"other"
        await (await other.opened()).note_journal(1, 1)
        with pytest.raises(CounterForeign):  # the storage of one terminal in another
            await CountedBoard(other.disk, board.chip.with_disk(other.disk)).opened()
        await (await board.opened()).note_journal(1, 2)

    run(main())


def test_an_erased_vault_begins_anew_with_the_same_chip() -> None:
    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        await vault.install_transport(parts.TRANSPORT, False)
        await vault.note_journal(1, 5)
        copy = board.disk.snapshot()
        before = board.chip.value
        await vault.erase()
        with pytest.raises(VaultTampered):
            await board.opened()
        await vault.install_transport(parts.TRANSPORT, False)
        await vault.note_journal(1, 1)
        assert board.chip.value > before
        again = await board.opened()
        assert await again.journal_position() == (1, 1) and not _behind(again)
        board.disk.restore(copy)  # of the life before
        with pytest.raises(CounterForeign):
            await board.opened()

    run(main())


def test_service_gives_a_terminal_with_a_new_chip_a_new_life() -> None:
    async def main() -> None:
        board = CountedBoard()
        await (await board.opened()).note_journal(1, 5)
        board.chip = RamCounter(board.disk)
        with pytest.raises(CounterUnset):
            await board.opened()
        content = board.disk.snapshot()
        del content["device.key"]
        board.disk.restore(content)
        board.seed = b"new"
        vault = board.vault()
        with pytest.raises(VaultTampered):
            await vault.open()
        await vault.install_transport(parts.TRANSPORT, False)
        await vault.note_journal(1, 1)
        again = await board.opened()
        assert await again.journal_position() == (1, 1) and not _behind(again)

    run(main())


def test_every_byte_of_a_counted_file_counts() -> None:
    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        for sequence in (1, 2, 3):
            await vault.note_journal(1, sequence)
        content = board.disk.snapshot()
        data = content[vault_position.POSITION]
        assert len(data) == 8 + 4 * 36
        for at in range(len(data)):
            spoilt = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            board.disk.restore({**content, vault_position.POSITION: spoilt})
            if at < 8 + 3 * 36:
                with pytest.raises(VaultTampered):
                    await board.opened()
            else:
                assert await (await board.opened()).journal_position() == (1, 2)
        for size in range(len(data)):
            board.disk.restore({**content, vault_position.POSITION: data[:size]})
            try:
                vault = await board.opened()
            except VaultTampered:
                assert size < 8 + 36
                continue
            assert size >= 8 + 36
            # Cut back beyond the step, the counter tells; else a torn record is the tear.
            assert _behind(vault) is (size < 8 + 2 * 36)

    run(main())


def test_an_old_copy_takes_no_note_but_a_new_epochs() -> None:
    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        await vault.note_journal(1, 1)
        copy = board.disk.snapshot()
        await (await board.opened()).note_journal(1, 2)
        board.disk.restore(copy)
        vault = await board.opened()
        epoch, sequence = await vault.journal_position()
        for told in ((1, 2), (1, sequence + 1), (epoch, sequence), (epoch, sequence + 1)):
            with pytest.raises(VaultError, match="older than its counter"):
                await vault.note_journal(*told)
        assert board.disk.snapshot() == copy and _behind(await board.opened())
        await vault.note_journal(epoch + 1, sequence)
        assert not _behind(await board.opened())

    run(main())


def test_a_board_names_its_counter(tmp_path: Path) -> None:
    board = copy.deepcopy(board_file.read(board_file.find("virtual")))
    board["vault"].update(
        counter="tpm", counter_path=str(tmp_path / "tpmrm0"), counter_index=0x01800001
    )
    assert board_file.check(board) == []
    for key, wrong in (("counter", "i2c"), ("counter_index", 0x01500000), ("notes_per_step", 0)):
        spoilt = copy.deepcopy(board)
        spoilt["vault"][key] = wrong
        assert [key in problem for problem in board_file.check(spoilt)] == [True]

    async def main() -> None:
        data = board_file.compiled(board, "0.0.0", 1_700_000_000)
        devices = await board_loader.build(data, rig.rack(), str(tmp_path))
        assert devices.failures == []
        vault = await self_test._one("vault", devices, 0)
        assert (vault.state, vault.text_key) == ("fail", "error.vault")
        with pytest.raises(CounterMissing):
            await devices.vault.open()

    aio.run(main())
