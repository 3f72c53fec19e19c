"""Conformance of hal.clock: what every clock driver must do."""

import asyncio
import calendar
import errno
import fcntl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from firmware import aio
from firmware.buses.wire_bus import WireI2c
from firmware.drivers import rtc_linux
from firmware.drivers.ds3231 import Ds3231
from firmware.drivers.rtc_linux import LinuxRtc
from firmware.drivers.rtc_mpy import ClockBesideRtc, MpyRtc
from firmware.drivers.system_clock import SystemClock
from firmware.hal.clock import Clock, ClockError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.mcu import installed
from tests.support.virtual_time import run


class Hand(Protocol):
    """What a test does to the chip."""

    mute: bool

    def lose_power(self) -> None: ...


def _ds3231() -> tuple[Ds3231, Rack]:
    rack = rig.rack()
    return Ds3231(WireI2c(rack, "i2c")), rack


class KernelRtc:
    """A chip behind the ioctls of linux/rtc.h that counts on the loop's clock."""

    def __init__(self) -> None:
        self.mute = self.void = False
        self._origin = 1_795_248_000 - self._seconds()

    @staticmethod
    def _seconds() -> int:
        return int(asyncio.get_running_loop().time())

    def lose_power(self) -> None:
        self.void = True

    def ioctl(self, node: int, request: int, data: bytes) -> bytes:
        if self.mute:
            raise OSError(errno.EIO, "Input/output error")
        if request == rtc_linux.VL_READ:
            return struct.pack("i", 1 if self.void else 0)
        if request == rtc_linux.RD_TIME:
            t = time.gmtime(self._origin + self._seconds())
            fields = t.tm_sec, t.tm_min, t.tm_hour, t.tm_mday, t.tm_mon - 1, t.tm_year - 1900
            return struct.pack("9i", *fields, (t.tm_wday + 1) % 7, 0, 0)
        assert request == rtc_linux.SET_TIME
        second, minute, hour, day, month, year = struct.unpack("9i", data)[:6]
        date = year + 1900, month + 1, day, hour, minute, second
        self._origin, self.void = calendar.timegm(date) - self._seconds(), False
        return data


Make = Callable[[], tuple[Clock, Hand]]


@pytest.fixture(params=["ds3231", "beside_rtc", "linux_rtc"])
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    stack = ExitStack()

    def ds3231() -> tuple[Clock, Hand]:
        clock, rack = _ds3231()
        return clock, rack.rtc

    def beside_rtc() -> tuple[Clock, Hand]:
        clock, rack = _ds3231()
        stack.enter_context(installed(rack, {"mcu": "mcu"}, "rp2"))
        return ClockBesideRtc(clock), rack.rtc

    def linux() -> tuple[Clock, Hand]:
        chip, node = KernelRtc(), tmp_path / "rtc0"
        node.write_bytes(b"")
        monkeypatch.setattr(fcntl, "ioctl", chip.ioctl)
        return LinuxRtc(str(node)), chip

    with stack:
        yield {"ds3231": ds3231, "beside_rtc": beside_rtc, "linux_rtc": linux}[request.param]


@pytest.mark.parametrize(
    "date",
    [(2000, 1, 1, 0, 0, 0), (2024, 2, 29, 23, 59, 59), (2026, 11, 21, 8, 0, 0),
     (2038, 1, 19, 3, 14, 8), (2099, 12, 31, 23, 59, 50)],
)  # fmt: skip
def test_set_and_read(make: Make, date: tuple[int, ...]) -> None:
    async def main() -> None:
        clock, _ = make()
        seconds = calendar.timegm(date)
        await clock.set(seconds)
        assert await clock.now() == seconds
        await aio.sleep_ms(5000)
        assert await clock.now() == seconds + 5

    run(main())


def test_a_clock_that_lost_power_says_so_until_it_is_set(make: Make) -> None:
    async def main() -> None:
        clock, chip = make()
        chip.lose_power()
        for _ in range(2):
            with pytest.raises(ClockError, match="lost power"):
                await clock.now()
        await clock.set(1_800_000_000)
        assert await clock.now() == 1_800_000_000

    run(main())


@pytest.mark.parametrize("seconds", [-1, 0, 946684799, 4102444800, 1 << 40])
def test_times_that_the_chip_cannot_hold_are_refused(make: Make, seconds: int) -> None:
    async def main() -> None:
        clock, _ = make()
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


def test_a_chip_that_does_not_answer_is_named_and_is_heard_again(make: Make) -> None:
    async def main() -> None:
        clock, chip = make()
        before = await clock.now()
        chip.mute = True
        for wait in (clock.now(), clock.set(1_800_000_000)):
            with pytest.raises(ClockError, match=r"no acknowledge|I/O error|output error"):
                await wait
        chip.mute = False
        assert await clock.now() == before

    run(main())


def test_a_chip_that_is_not_there_does_not_start(tmp_path: Path) -> None:
    async def main() -> None:
        _, rack = _ds3231()
        rack.rtc.mute = True
        with pytest.raises(ClockError, match="no acknowledge"):
            Ds3231(WireI2c(rack, "i2c"))
        with pytest.raises(ClockError, match="is not there"):
            LinuxRtc(str(tmp_path / "rtc0"))

    run(main())


def test_a_microcontrollers_calendar_follows_the_chip_beside_it() -> None:
    async def main() -> None:
        chip, rack = _ds3231()
        with installed(rack, {"mcu": "mcu"}, "rp2"):
            await ClockBesideRtc(chip).set(1_800_000_000)
            assert await MpyRtc().now() == 1_800_000_000
            rack.mcu.power_off()
            with pytest.raises(ClockError, match="lost power"):
                await MpyRtc().now()
            assert await ClockBesideRtc(chip).now() == 1_800_000_000
            assert await MpyRtc().now() == 1_800_000_000

    run(main())


def test_the_systems_clock() -> None:
    async def main() -> None:
        assert abs(await SystemClock().now() - time.time()) < 60
        with pytest.raises(ClockError, match="cannot be set"):
            await SystemClock().set(1 << 70)

    run(main())
