"""Drivers over the kernel's classes: power supplies, square waves, real-time clocks."""

from __future__ import annotations

import errno
import fcntl
import struct
from pathlib import Path

import pytest

from firmware import aio
from firmware.board_loader import Devices
from firmware.buses.pins import IN, OUT
from firmware.buses.pwm_linux import SysfsPwm
from firmware.buses.wire import BusError
from firmware.drivers import rtc_linux
from firmware.drivers.power_linux import LinuxPower
from firmware.drivers.rtc_linux import LinuxRtc
from firmware.hal.clock import ClockError
from firmware.hal.power import PowerError, PowerStatus
from firmware.payment.journal.journal import Journal
from firmware.services.counters import Counters
from tests.support.memory_files import MemoryFiles
from tests.support.noted_vault import NotedVault
from tests.support.virtual_time import run

BATTERY = {"type": "Battery", "present": "1", "capacity": "84", "voltage_now": "3980000",
           "status": "Discharging"}  # fmt: skip
MAINS = {"type": "Mains", "online": "1"}


def _supply(folder: Path, name: str, attributes: dict[str, str]) -> None:
    (folder / name).mkdir(exist_ok=True)
    for old in (folder / name).iterdir():
        old.unlink()
    for attribute, value in attributes.items():
        (folder / name / attribute).write_text(value + "\n")


def _status(folder: Path, battery: str = "") -> PowerStatus:
    found: list[PowerStatus] = []

    async def main() -> None:
        found.append(await LinuxPower(battery, str(folder)).status())

    run(main())
    return found[0]


def test_battery_and_mains(tmp_path: Path) -> None:
    _supply(tmp_path, "BAT0", BATTERY)
    _supply(tmp_path, "AC", MAINS)
    status = _status(tmp_path)
    assert (status.percent, status.mains, status.millivolts) == (84, True, 3980)
    _supply(tmp_path, "AC", {**MAINS, "online": "0"})
    assert not _status(tmp_path).mains
    _supply(tmp_path, "usb", {"type": "USB", "online": "1"})
    assert _status(tmp_path).mains


@pytest.mark.parametrize(
    ("state", "mains"),
    [("Charging", True), ("Full", True), ("Not charging", True), ("Discharging", False),
     ("Unknown", False), ("", False)],
)  # fmt: skip
def test_a_battery_alone_tells_by_its_state(tmp_path: Path, state: str, mains: bool) -> None:
    _supply(tmp_path, "axp20x-battery", {**BATTERY, "status": state})
    assert _status(tmp_path).mains is mains


@pytest.mark.parametrize(
    ("more", "percent"),
    [({"charge_now": "500000", "charge_full": "2000000"}, 25),
     ({"energy_now": "9000", "energy_full": "10000"}, 90),
     ({"capacity": "0"}, 0), ({"capacity": "103"}, 100)],
)  # fmt: skip
def test_the_charge_is_counted_where_no_percentage_is_told(
    tmp_path: Path, more: dict[str, str], percent: int
) -> None:
    _supply(tmp_path, "BAT0", {k: v for k, v in BATTERY.items() if k != "capacity"} | more)
    assert _status(tmp_path).percent == percent


def test_a_battery_that_is_taken_out_or_anothers(tmp_path: Path) -> None:
    _supply(tmp_path, "BAT0", {**BATTERY, "present": "0"})
    _supply(tmp_path, "AC", MAINS)
    status = _status(tmp_path)
    assert (status.percent, status.mains, status.millivolts) == (None, True, None)
    _supply(tmp_path, "BAT0", {**BATTERY, "scope": "Device"})  # a mouse's
    assert _status(tmp_path).percent is None
    _supply(tmp_path, "BAT1", {**BATTERY, "capacity": "7"})
    assert _status(tmp_path).percent == 7
    assert _status(tmp_path, "BAT0").percent == 84


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("capacity", "250"), ("capacity", "-1"), ("capacity", "full"), ("capacity", ""),
     ("voltage_now", "3980"), ("voltage_now", "-3980000"), ("voltage_now", "398000000"),
     ("voltage_now", "x"), ("capacity", "\u0663"), ("capacity", "9" * 100)],
)  # fmt: skip
def test_values_that_cannot_be_are_named(tmp_path: Path, attribute: str, value: str) -> None:
    _supply(tmp_path, "BAT0", {**BATTERY, attribute: value})
    with pytest.raises(PowerError, match=f"BAT0: {attribute}"):
        _status(tmp_path)


def test_attributes_that_cannot_be_read(tmp_path: Path) -> None:
    _supply(tmp_path, "BAT0", BATTERY)
    (tmp_path / "BAT0/voltage_now").unlink()
    (tmp_path / "BAT0/voltage_now").mkdir()  # a read fails, as with ENODATA
    assert _status(tmp_path).millivolts is None
    (tmp_path / "BAT0/capacity").unlink()
    with pytest.raises(PowerError, match="capacity is None"):
        _status(tmp_path)


def _monitor(tmp_path: Path, name: str = "rpi_volt") -> Path:
    folder = tmp_path / "hwmon"
    (folder / "hwmon1").mkdir(parents=True)
    (folder / "hwmon1/name").write_text(name + "\n")
    (folder / "hwmon1/in0_lcrit_alarm").write_text("0\n")
    return folder


def test_an_under_voltage_alarm_is_counted_as_often_as_it_comes(tmp_path: Path) -> None:
    folder = _monitor(tmp_path)
    alarm = folder / "hwmon1/in0_lcrit_alarm"
    (tmp_path / "supplies").mkdir()

    async def main() -> None:
        # A board on mains alone: no supply of the class, but the alarm.
        power = LinuxPower("", str(tmp_path / "supplies"), 0, str(folder))
        assert (power.brown_outs, power.watch_ms) == (0, 1000)
        for told, count in (("0", 0), ("1", 1), ("1", 1), ("0", 1), ("junk", 1), ("1", 2)):
            alarm.write_text(told + "\n")
            status = await power.status()
            assert (status.percent, status.mains) == (None, True)
            assert power.brown_outs == count, told
        alarm.unlink()
        await power.status()
        assert power.brown_outs == 2

    run(main())


def test_a_dip_between_two_screens_is_seen(tmp_path: Path) -> None:
    """The alarm holds for two seconds; the terminal looks oftener, also past an error."""
    folder = _monitor(tmp_path)
    supplies = tmp_path / "supplies"
    supplies.mkdir()

    async def main() -> None:
        devices, journal = Devices({}), Journal(MemoryFiles(), NotedVault())
        devices.power = LinuxPower("", str(supplies), 0, str(folder))
        watching = aio.spawn("power", Counters(journal, devices, {}).watch())
        for told in ("1", "0", "1", "0"):
            (folder / "hwmon1/in0_lcrit_alarm").write_text(told)
            await aio.sleep_ms(2000)
        assert devices.power.brown_outs == 2
        supplies.rmdir()  # status() fails by name
        await aio.sleep_ms(3000)
        supplies.mkdir()
        (folder / "hwmon1/in0_lcrit_alarm").write_text("1")
        await aio.sleep_ms(2000)
        assert devices.power.brown_outs == 3
        watching.cancel()
        await watching.done.wait()

    run(main())


def test_brown_outs_are_unknown_where_nothing_tells_of_them(tmp_path: Path) -> None:
    folder = _monitor(tmp_path, "nvme")
    supplies = tmp_path / "supplies"
    supplies.mkdir()
    _supply(supplies, "BAT0", {**BATTERY, "voltage_now": "2900000"})

    async def main() -> None:
        power = LinuxPower("", str(supplies), 0, str(folder))
        await power.status()
        assert (power.brown_outs, power.watch_ms) == (None, 0)
        power = LinuxPower("", str(supplies), 3000, str(tmp_path / "none"))
        await power.status()
        assert power.brown_outs == 1

    run(main())


def test_no_supply_is_named(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="has no supply"):
        LinuxPower("", str(tmp_path))
    with pytest.raises(PowerError, match="No such file"):
        LinuxPower("", str(tmp_path / "none"))
    _supply(tmp_path, "AC", MAINS)
    with pytest.raises(PowerError, match="no supply BAT7; there are: AC"):
        LinuxPower("BAT7", str(tmp_path))

    async def main() -> None:
        power = LinuxPower("", str(tmp_path))
        for attribute in list((tmp_path / "AC").iterdir()):
            attribute.unlink()
        (tmp_path / "AC").rmdir()
        with pytest.raises(PowerError, match="has no supply"):
            await power.status()

    run(main())


@pytest.fixture
def pwm(tmp_path: Path) -> Path:
    """pwmchip0 with two channels, the first one taken already."""
    chip = tmp_path / "pwmchip0"
    (chip / "pwm0").mkdir(parents=True)
    (chip / "npwm").write_text("2\n")
    (chip / "export").write_text("")
    for name in ("enable", "period", "duty_cycle"):
        (chip / "pwm0" / name).write_text("0\n")
    return chip


def _wave(chip: Path) -> tuple[int, int, int]:
    names = ("enable", "period", "duty_cycle")
    return tuple(int((chip / "pwm0" / name).read_text()) for name in names)  # type: ignore[return-value]  # three


def test_square_waves(pwm: Path) -> None:
    bus = SysfsPwm(0, str(pwm.parent))
    bus.mode(0, OUT)
    assert (pwm / "export").read_text() == ""
    bus.pwm(0, 2400, 50)
    assert _wave(pwm) == (1, 416_666, 208_333)
    bus.pwm(0, 400, 100)
    assert _wave(pwm) == (1, 2_500_000, 2_500_000)
    bus.pwm(0, 0, 0)
    assert _wave(pwm)[0] == 0
    bus.mode(1, OUT)
    assert (pwm / "export").read_text() == "1"
    with pytest.raises(BusError, match="pwm1/"):  # the kernel made no folder
        bus.pwm(1, 400, 50)
    for wrong in (lambda: bus.mode(2, OUT), lambda: bus.mode(0, IN)):
        with pytest.raises(BusError, match="channel"):
            wrong()
    with pytest.raises(BusError, match="square waves only"):
        bus.write(0, 1)
    with pytest.raises(BusError, match="output only"):
        bus.read(0)
    with pytest.raises(BusError, match="pwmchip7"):
        SysfsPwm(7, str(pwm.parent))


class Chip:
    """A clock behind the ioctls of linux/rtc.h."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "rtc0"
        self.path.write_bytes(b"")
        #: Seconds, minutes, hours, day, month from 0, year from 1900, weekday, 0, 0.
        self.fields: tuple[int, ...] = (0, 0, 8, 21, 10, 126, 6, 0, 0)
        self.void = False
        self.detects = True
        self.refuses = 0
        monkeypatch.setattr(fcntl, "ioctl", self.ioctl)

    def ioctl(self, node: int, request: int, data: bytes) -> bytes:
        if request == rtc_linux.VL_READ:
            if not self.detects:
                raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
            return struct.pack("i", 1 if self.void else 0)
        if self.refuses:
            raise OSError(self.refuses, "Invalid argument")
        if request == rtc_linux.RD_TIME:
            return struct.pack("9i", *self.fields)
        assert request == rtc_linux.SET_TIME
        self.fields = struct.unpack("9i", data)
        self.void = False
        return data


def test_a_clock_chip_behind_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip(tmp_path, monkeypatch)

    async def main() -> None:
        clock = LinuxRtc(str(chip.path))
        assert await clock.now() == 1_795_248_000
        chip.detects = False
        for seconds in (946_684_800, 1_709_251_199, 1_795_248_059, 4_102_444_799):
            await clock.set(seconds)
            assert await clock.now() == seconds
        assert chip.fields[6] == 4  # the last day of 2099 is a Thursday
        chip.detects = chip.void = True
        with pytest.raises(ClockError, match="lost power"):
            await clock.now()
        await clock.set(1_800_000_000)
        assert await clock.now() == 1_800_000_000
        for wrong in (-1, 946_684_799, 4_102_444_800):
            with pytest.raises(ClockError, match="2000 to 2099"):
                await clock.set(wrong)
        for fields in ((61, 0, 0, 1, 0, 126, 0, 0, 0), (0, 0, 0, 31, 1, 126, 0, 0, 0)):
            chip.fields = fields
            with pytest.raises(ClockError, match="no such"):
                await clock.now()
        chip.refuses = errno.EINVAL
        with pytest.raises(ClockError, match="set the clock"):
            await clock.now()
        with pytest.raises(ClockError, match="Invalid argument"):
            await clock.set(1_800_000_000)
        chip.path.unlink()
        with pytest.raises(ClockError, match="No such file"):
            await clock.now()
        with pytest.raises(ClockError, match="is not there"):
            LinuxRtc(str(chip.path))

    run(main())
