"""Conformance of hal.counter: a TPM's counter on a real TPM's firmware (swtpm), and the one in
RAM on which the other tests' vaults stand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from firmware import aio
from firmware.drivers.tpm_linux import TpmCounter
from firmware.hal.counter import Counter, CounterForeign, CounterUnset
from tests.support import swtpm
from tests.support.faulty_disk import FaultyDisk
from tests.support.ram_counter import RamCounter

MINE, OTHER = bytes(range(32)), bytes(range(1, 33))


class Chip:
    """``driver``: a new driver of the same chip, as after a restart of the terminal."""

    def __init__(self, driver: Callable[[], Counter]) -> None:
        self.driver = driver


@pytest.fixture(params=["tpm", "ram"])
def chip(request: pytest.FixtureRequest) -> Iterator[Chip]:
    if request.param == "ram":
        counter = RamCounter(FaultyDisk())
        yield Chip(lambda: counter)
        return
    if swtpm.why_not():
        pytest.skip(swtpm.why_not())
    tpm = swtpm.SoftTpm()
    yield Chip(lambda: TpmCounter(tpm.path))
    tpm.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    aio.run(aio.deadline(60_000, work, "the test"))


def test_an_empty_chip_has_no_counter(chip: Chip) -> None:
    async def work() -> None:
        counter = chip.driver()
        for _ in range(2):
            with pytest.raises(CounterUnset):
                await counter.find(MINE)
            with pytest.raises(CounterUnset):
                await counter.step(MINE)

    _run(work())


def test_it_is_made_once_and_goes_up_by_one(chip: Chip) -> None:
    async def work() -> None:
        first = await chip.driver().make(MINE)
        assert first >= 1
        assert await chip.driver().make(MINE) == first
        for more in range(1, 4):
            assert await chip.driver().step(MINE) == first + more
            assert await chip.driver().find(MINE) == first + more
        assert await chip.driver().make(MINE) == first + 3

    _run(work())


def test_a_secret_may_be_wiped_afterwards(chip: Chip) -> None:
    async def work() -> None:
        counter, secret = chip.driver(), bytearray(MINE)
        first = await counter.make(secret)
        secret[:] = bytes(32)
        assert await counter.find(MINE) == first
        with pytest.raises(CounterForeign):
            await counter.find(secret)

    _run(work())


def test_it_answers_to_no_other_secret(chip: Chip) -> None:
    async def work() -> None:
        counter = chip.driver()
        first = await counter.make(MINE)
        for call in (counter.find, counter.step):
            with pytest.raises(CounterForeign):
                await call(OTHER)
        assert await counter.find(MINE) == first

    _run(work())


def test_another_vaults_takes_its_place_and_begins_above_it(chip: Chip) -> None:
    async def work() -> None:
        counter = chip.driver()
        await counter.make(MINE)
        ended = await counter.step(MINE)
        begins = await counter.make(OTHER)
        assert begins > ended
        with pytest.raises(CounterForeign):
            await counter.find(MINE)
        assert await counter.step(OTHER) == begins + 1
        assert await counter.make(MINE) > begins + 1

    _run(work())


def test_two_who_step_at_once_get_two_values(chip: Chip) -> None:
    async def work() -> None:
        counter = chip.driver()
        first = await counter.make(MINE)
        steps = [aio.spawn("step", counter.step(MINE)) for _ in range(4)]
        assert sorted([await step.join() for step in steps]) == [first + n for n in range(1, 5)]
        assert await counter.find(MINE) == first + 4

    _run(work())
