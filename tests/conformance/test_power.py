"""Conformance of hal.power: what every driver of the supply must do."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from firmware.buses.wire_bus import WireI2c, WirePins
from firmware.drivers.max17048 import Max17048
from firmware.drivers.power_linux import LinuxPower
from firmware.hal.power import Power, PowerError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run


class Supply(Protocol):
    """What a test does to battery and mains."""

    def battery(self, percent: float, millivolts: int) -> None: ...

    def mains(self, there: bool) -> None: ...

    def silent(self, silent: bool) -> None: ...


class Gauge:
    """A MAX17048 and a pin."""

    def __init__(self, rack: Rack) -> None:
        self._rack = rack

    def battery(self, percent: float, millivolts: int) -> None:
        self._rack.gauge.percent, self._rack.gauge.millivolts = percent, millivolts

    def mains(self, there: bool) -> None:
        self._rack.mains.set(there)

    def silent(self, silent: bool) -> None:
        self._rack.gauge.mute = silent


class Class:
    """The kernel's power-supply class: a battery and a charger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._write("BAT0", type="Battery", present="1", status="Discharging")
        self._write("AC", type="Mains")
        self.battery(84, 3980)
        self.mains(True)

    def _write(self, name: str, **attributes: str) -> None:
        (self._folder / name).mkdir(parents=True, exist_ok=True)
        for attribute, value in attributes.items():
            (self._folder / name / attribute).write_text(value + "\n")

    def battery(self, percent: float, millivolts: int) -> None:
        self._write("BAT0", capacity=str(int(percent + 0.5)), voltage_now=f"{millivolts}000")

    def mains(self, there: bool) -> None:
        self._write("AC", online=str(int(there)))

    def silent(self, silent: bool) -> None:
        away = self._folder.with_name("away")
        (self._folder if silent else away).rename(away if silent else self._folder)


Make = Callable[[], tuple[Power, Supply]]


def _make() -> tuple[Max17048, Rack]:
    rack = rig.rack()
    return Max17048(WireI2c(rack, "i2c"), 0x36, WirePins(rack, "gpio"), 15, 0), rack


@pytest.fixture(params=["max17048", "linux_power"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def gauge() -> tuple[Power, Supply]:
        power, rack = _make()
        return power, Gauge(rack)

    def linux() -> tuple[Power, Supply]:
        supply = Class(tmp_path / "power_supply")
        return LinuxPower("", str(tmp_path / "power_supply"), 3000, str(tmp_path)), supply

    return gauge if request.param == "max17048" else linux


@pytest.mark.parametrize(
    ("percent", "millivolts", "shown"),
    [(0.0, 3000, 0), (0.4, 3300, 0), (49.6, 3700, 50), (99.9, 4190, 100), (102.3, 4200, 100)],
)
def test_charge_and_voltage(make: Make, percent: float, millivolts: int, shown: int) -> None:
    async def main() -> None:
        power, supply = make()
        supply.battery(percent, millivolts)
        status = await power.status()
        assert status.percent == shown
        assert status.millivolts is not None
        assert abs(status.millivolts - millivolts) <= 1

    run(main())


def test_each_dip_below_the_cut_off_is_a_brown_out(make: Make) -> None:
    async def main() -> None:
        power, supply = make()
        assert power.brown_outs == 0
        for millivolts, count in ((3100, 0), (2990, 1), (2900, 1), (3500, 1), (2999, 2)):
            supply.battery(50, millivolts)
            await power.status()
            assert power.brown_outs == count, millivolts

    run(main())


def test_mains_comes_and_goes(make: Make) -> None:
    async def main() -> None:
        power, supply = make()
        for there in (True, False, True):
            supply.mains(there)
            assert (await power.status()).mains is there

    run(main())


def test_a_supply_that_goes_is_named_and_is_read_again(make: Make) -> None:
    async def main() -> None:
        power, supply = make()
        for _ in range(2):
            supply.silent(True)
            with pytest.raises(PowerError, match=r"no acknowledge|I/O error|No such file"):
                await power.status()
            supply.silent(False)
            supply.battery(50, 3700)
            assert (await power.status()).percent == 50

    run(main())


def test_without_a_pin_there_is_no_mains() -> None:
    async def main() -> None:
        _, rack = _make()
        without = Max17048(WireI2c(rack, "i2c"), 0x36)
        assert not (await without.status()).mains

    run(main())


def test_a_gauge_that_does_not_answer_is_named() -> None:
    async def main() -> None:
        power, rack = _make()
        rack.gauge.mute = True
        with pytest.raises(PowerError, match="no acknowledge"):
            await power.status()
        with pytest.raises(PowerError, match="no acknowledge"):
            Max17048(WireI2c(rack, "i2c"), 0x36)
        with pytest.raises(PowerError, match="another chip"):
            Max17048(WireI2c(rack, "i2c"), 0x68)
        rack.gauge.mute = False
        rack.pins.count = 0
        with pytest.raises(PowerError, match="no pin"):
            await power.status()

    run(main())
