"""Conformance of hal.power: what every driver of the supply must do."""

import pytest

from firmware.buses.wire_bus import WireI2c, WirePins
from firmware.drivers.max17048 import Max17048
from firmware.hal.power import PowerError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run


def _make() -> tuple[Max17048, Rack]:
    rack = rig.rack()
    return Max17048(WireI2c(rack, "i2c"), 0x36, WirePins(rack, "gpio"), 15, 0), rack


@pytest.mark.parametrize(
    ("percent", "millivolts", "shown"),
    [(0.0, 3000, 0), (0.4, 3300, 0), (49.6, 3700, 50), (99.9, 4190, 100), (102.3, 4200, 100)],
)
def test_charge_and_voltage(percent: float, millivolts: int, shown: int) -> None:
    async def main() -> None:
        power, rack = _make()
        rack.gauge.percent, rack.gauge.millivolts = percent, millivolts
        status = await power.status()
        assert status.percent == shown
        assert status.millivolts is not None
        assert abs(status.millivolts - millivolts) <= 1

    run(main())


def test_each_dip_below_the_cut_off_is_a_brown_out() -> None:
    async def main() -> None:
        power, rack = _make()
        assert power.brown_outs == 0
        for millivolts, count in ((3100, 0), (2990, 1), (2900, 1), (3500, 1), (2999, 2)):
            rack.gauge.millivolts = millivolts
            await power.status()
            assert power.brown_outs == count, millivolts

    run(main())


def test_mains_is_its_own_pin() -> None:
    async def main() -> None:
        power, rack = _make()
        assert (await power.status()).mains
        rack.mains.set(False)
        assert not (await power.status()).mains
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
