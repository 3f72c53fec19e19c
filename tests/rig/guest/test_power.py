"""The kernel's power-supply class: a smart battery under the kernel's own driver, on its software
SMBus, whose registers we set."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.drivers.power_linux import LinuxPower
from firmware.hal.power import PowerError, PowerStatus
from tests.rig.guest.waiting import until

smbus2 = pytest.importorskip("smbus2")

Need = Callable[..., None]
ADAPTERS = Path("/sys/bus/i2c/devices")
STUB = "SMBus stub driver"
ADDRESS = 0x0B
#: Smart Battery Data Specification 1.1, 5.1: registers, and bits of the state.
VOLTAGE, CURRENT, CHARGE, STATE = 0x09, 0x0A, 0x0D, 0x16
DESIGN, DESIGN_MV, VERSION = 0x18, 0x19, 0x1A
READY, DISCHARGING, FULL = 0x80, 0x40, 0x20
VERSION_1_1 = 0x0021


class Battery:
    """Clipped in and out. In the first place half charged, on its own."""

    def __init__(self) -> None:
        (self._adapter,) = [
            path for path in ADAPTERS.glob("i2c-*") if (path / "name").read_text().strip() == STUB
        ]
        self._number = int(self._adapter.name.removeprefix("i2c-"))
        self.name = f"sbs-{self._number}-{ADDRESS:04x}"
        self.set(VERSION, VERSION_1_1)
        self.set(DESIGN, 2600)
        self.set(DESIGN_MV, 3700)
        self.now(51, 3712, -300, DISCHARGING)

    def set(self, register: int, value: int) -> None:
        """A register of 16 bits; also while the kernel's driver has the chip."""
        with smbus2.SMBus(self._number, force=True) as bus:
            bus.write_word_data(ADDRESS, register, value & 0xFFFF)

    def now(self, percent: int, millivolts: int, milliamperes: int, state: int) -> None:
        """What it says from now on."""
        self.set(CHARGE, percent)
        self.set(VOLTAGE, millivolts)
        self.set(CURRENT, milliamperes)
        self.set(STATE, READY | state)

    def clip_in(self) -> None:
        """Its supply is there when this returns."""
        (self._adapter / "new_device").write_text(f"sbs-battery {ADDRESS:#x}")
        until((Path("/sys/class/power_supply") / self.name).exists, "the supply")

    def clip_out(self) -> None:
        """It is gone."""
        (self._adapter / "delete_device").write_text(f"{ADDRESS:#x}")


@pytest.fixture
def battery(need: Need) -> Iterator[Battery]:
    need("i2c-dev", "sbs-battery")
    need("i2c-stub", options=[f"chip_addr={ADDRESS:#x}"])
    battery = Battery()
    battery.clip_in()
    yield battery
    subprocess.run(["rmmod", "i2c-stub"], check=False)


def _told(power: LinuxPower) -> tuple[int | None, bool, int | None]:
    """Percent, mains, millivolts."""
    status: PowerStatus = aio.run(power.status())
    return status.percent, status.mains, status.millivolts


def test_charge_mains_and_voltage_are_the_gauges(battery: Battery) -> None:
    power = LinuxPower()
    assert _told(power) == (51, False, 3712)
    battery.now(52, 3790, 800, 0)
    assert _told(power) == (52, True, 3790)
    battery.now(104, 4180, 0, FULL)
    assert _told(power) == (100, True, 4180)


def test_a_voltage_below_the_boards_bound_is_counted_once(battery: Battery) -> None:
    power = LinuxPower(battery.name, cutoff_mv=3300)
    for millivolts in (3712, 3290, 3280, 3400, 3299):
        battery.now(5, millivolts, -300, DISCHARGING)
        assert _told(power)[2] == millivolts
    assert power.brown_outs == 2


def test_a_battery_that_is_taken_out_is_named(battery: Battery) -> None:
    power = LinuxPower(battery.name)
    battery.clip_out()
    with pytest.raises(PowerError, match=f"no supply {battery.name}; there are: none"):
        _told(power)
    with pytest.raises(PowerError, match="has no supply"):
        LinuxPower()
    battery.clip_in()
    assert _told(power) == (51, False, 3712)
