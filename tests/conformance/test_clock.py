"""Conformance of hal.clock: what every clock driver must do."""

import calendar
import time

import pytest

from firmware import aio
from firmware.buses.wire_bus import WireI2c
from firmware.drivers.ds3231 import Ds3231
from firmware.drivers.system_clock import SystemClock
from firmware.hal.clock import ClockError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run


def _make() -> tuple[Ds3231, Rack]:
    rack = rig.rack()
    return Ds3231(WireI2c(rack, "i2c")), rack


@pytest.mark.parametrize(
    "date",
    [(2000, 1, 1, 0, 0, 0), (2024, 2, 29, 23, 59, 59), (2026, 11, 21, 8, 0, 0),
     (2038, 1, 19, 3, 14, 8), (2099, 12, 31, 23, 59, 50)],
)  # fmt: skip
def test_set_and_read(date: tuple[int, ...]) -> None:
    async def main() -> None:
        clock, _ = _make()
        seconds = calendar.timegm(date)
        await clock.set(seconds)
        assert await clock.now() == seconds
        await aio.sleep_ms(5000)
        assert await clock.now() == seconds + 5

    run(main())


def test_a_clock_that_lost_power_says_so_until_it_is_set() -> None:
    async def main() -> None:
        clock, rack = _make()
        rack.rtc.lose_power()
        for _ in range(2):
            with pytest.raises(ClockError, match="lost power"):
                await clock.now()
        await clock.set(1_800_000_000)
        assert await clock.now() == 1_800_000_000

    run(main())


@pytest.mark.parametrize("seconds", [-1, 0, 946684799, 4102444800, 1 << 40])
def test_times_that_the_chip_cannot_hold_are_refused(seconds: int) -> None:
    async def main() -> None:
        clock, _ = _make()
        before = await clock.now()
        with pytest.raises(ClockError):
            await clock.set(seconds)
        assert await clock.now() == before

    run(main())


class _Registers:
    """An I2C bus whose clock chip holds what a test says."""

    def __init__(self, calendar_bytes: bytes) -> None:
        self.data = bytearray(calendar_bytes + bytes(19 - len(calendar_bytes)))

    def transfer(self, address: int, write: bytes, read: int) -> bytes:
        return bytes(self.data[write[0] : write[0] + read])


@pytest.mark.parametrize(
    "registers",
    ["5A000001010126", "00600001010126", "00002A01010126", "00002401010126", "00000001320126",
     "00000001300226", "00000001001126", "00000001011326", "0000000101012A", "00004001010126",
     "00000001310426", "FFFFFFFFFFFFFF"],
)  # fmt: skip
def test_nonsense_in_the_registers_is_named(registers: str) -> None:
    async def main() -> None:
        with pytest.raises(ClockError):
            await Ds3231(_Registers(bytes.fromhex(registers))).now()  # type: ignore[arg-type]  # a stand-in

    run(main())


@pytest.mark.parametrize(
    ("register", "bit"),
    [(0, 0x80), (1, 0x80), (2, 0x80), (3, 0x08), (4, 0x40), (5, 0x20), (15, 0x10)],
)
def test_another_chip_at_its_address_is_named_and_its_time_not_believed(
    register: int, bit: int
) -> None:
    """A DS1307 whose oscillator stands (bit 7 of its seconds), a motion sensor, and so on."""

    async def main() -> None:
        there = _Registers(bytes.fromhex("00000801211126"))
        clock = Ds3231(there)  # type: ignore[arg-type]  # a stand-in
        assert await clock.now() == 1_795_248_000
        there.data[register] |= bit
        with pytest.raises(ClockError, match="another chip"):
            await clock.now()
        with pytest.raises(ClockError, match="another chip"):
            Ds3231(there)  # type: ignore[arg-type]  # a stand-in

    run(main())


def test_a_chip_that_does_not_answer_is_named() -> None:
    async def main() -> None:
        clock, rack = _make()
        rack.rtc.mute = True
        for wait in (clock.now(), clock.set(1_800_000_000)):
            with pytest.raises(ClockError, match="no acknowledge"):
                await wait
        with pytest.raises(ClockError, match="no acknowledge"):
            Ds3231(WireI2c(rack, "i2c"))

    run(main())


def test_the_systems_clock() -> None:
    async def main() -> None:
        assert abs(await SystemClock().now() - time.time()) < 60
        with pytest.raises(ClockError, match="cannot be set"):
            await SystemClock().set(1 << 70)

    run(main())
