"""A counter chip that is not as the vault left it: by self-test and by notes, always by name."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from firmware.drivers.soft_vault import SoftVault
from firmware.hal.counter import CounterError, CounterForeign, CounterLocked, CounterMissing
from firmware.hal.vault import VaultError
from firmware.services import self_test
from tests.support.counted_board import CountedBoard
from tests.support.virtual_time import run


async def _tested(vault: SoftVault) -> tuple[str, str]:
    """What the menu's self-test says of a vault in service."""

    async def heard(result: self_test.Result) -> None:
        pass

    devices = SimpleNamespace(vault=vault, failures=[])
    (result,) = await self_test.run(devices, 0, heard, ("vault",))
    return result.state, result.detail


def test_the_self_test_names_a_chip_that_is_not_as_the_vault_left_it() -> None:
    """In service, and without a step: it went back, on, lost its counter, is another's,
    does not answer, is gone; each time a payment's next step refuses as well."""

    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        await vault.note_journal(1, 1)
        steps, value = board.chip.steps, board.chip.value
        assert await _tested(vault) == ("ok", "")
        for wrong in (value - 1, value + 1, 0, (1 << 64) - 1):
            board.chip.value = wrong
            said = f"the counter stands at {wrong}, the vault left it at {value}"
            assert await _tested(vault) == ("fail", said)
        board.chip.value, owner = value, board.chip.owner
        for other, words in ((b"", "no counter"), (b"another", "another's counter")):
            board.chip.owner = other
            assert await _tested(vault) == ("fail", words)
        board.chip.owner = owner
        for error in (CounterMissing("no TPM"), CounterLocked("for a while")):
            board.chip.fail = error
            assert await _tested(vault) == ("fail", str(error))
        board.chip.fail = None
        assert await _tested(vault) == ("ok", "") and board.chip.steps == steps
        # A step that failed is owed, which is no fault of the chip's.
        await vault.note_journal(1, 2)
        await vault.note_journal(1, 3)
        board.chip.fail = CounterLocked("for a while")
        with pytest.raises(CounterLocked):
            await vault.note_journal(1, 4)
        board.chip.fail = None
        assert await _tested(vault) == ("ok", "")
        await vault.note_journal(1, 5)
        assert await _tested(vault) == ("ok", "") and board.chip.steps == steps + 1
        # A tamper meanwhile: nothing is asked of an erased vault.
        await vault.erase()
        assert (await _tested(vault))[0] == "fail"

    run(main())


def test_a_chip_that_says_it_stepped_and_stays_is_named_each_time() -> None:
    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        stands = board.chip.value

        async def stays(secret: "bytes | bytearray") -> int:
            return stands

        board.chip.step = stays  # type: ignore[method-assign]
        for sequence in (1, 2, 3):
            with pytest.raises(CounterForeign, match=f"stands at {stands}, the vault left it"):
                await vault.note_journal(1, sequence)
        assert await vault.journal_position() == (1, 1)  # nothing goes on without its step
        again = await board.opened()
        with pytest.raises(CounterForeign):
            await again.note_journal(1, 2)

    run(main())


@pytest.mark.parametrize("reads", [1 << 62, (1 << 64) - 1, -1])
def test_what_no_counter_can_read_is_refused_by_name(reads: int) -> None:
    async def main() -> None:
        board = CountedBoard()
        await (await board.opened()).note_journal(1, 1)
        copy, value = board.disk.snapshot(), board.chip.value
        board.chip.value = reads
        with pytest.raises(CounterError, match="cannot stand at"):
            await board.opened()
        assert board.disk.snapshot() == copy
        board.chip.value = value
        await (await board.opened()).note_journal(1, 2)
        fresh = CountedBoard()
        fresh.chip.value = reads - 1
        with pytest.raises(CounterError, match="cannot stand at"):
            await fresh.opened()

    run(main())


def test_the_position_never_goes_back_to_an_earlier_epoch() -> None:
    async def main() -> None:
        board = CountedBoard()
        vault = await board.opened()
        await vault.note_journal(2, 10)
        for epoch, sequence in ((1, 11), (1, 10), (2, 9)):
            with pytest.raises(VaultError, match="go back"):
                await vault.note_journal(epoch, sequence)
        assert await vault.journal_position() == (2, 10)

    run(main())
