"""Conformance of hal.indicators: what every driver of lamps and buzzer must do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.buses.pins import Pins
from firmware.buses.pwm_linux import SysfsPwm
from firmware.buses.wire_bus import WirePins
from firmware.drivers.lamps import LampsAndBuzzer
from firmware.hal.indicators import LAMPS, SOUNDS, IndicatorError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.sysfs_pwm import SysfsChip
from tests.support.virtual_time import run

PINS = {"ready": 9, "busy": 10, "ok": 11, "error": 12}
BUZZER = 13


class Panel:
    """Lamps, and a buzzer at a pin beside them or at the kernel's square waves."""

    def __init__(self, rack: Rack, pins: Pins, chip: SysfsChip | None = None) -> None:
        self.lamps = rack.lamps
        #: With ``heard``, (time in us, frequency in Hz, 0 for silence), and ``frequency`` now.
        self.buzzer: Any = chip or rack.lamps
        self._rack, self._pins, self._chip = rack, pins, chip
        self._waves = SysfsPwm(0, str(chip.folder)) if chip else None

    def driver(self, lamps: dict[str, int] = PINS, buzzer: bool = True) -> LampsAndBuzzer:
        """``lamps``: those that the board has; ``buzzer``: whether it has one."""
        pin = BUZZER if self._waves is None else 0
        return LampsAndBuzzer(self._pins, dict(lamps), pin if buzzer else None, self._waves)

    def fail(self) -> None:
        """Nothing takes an order any more."""
        self._rack.pins.count = 0
        if self._chip is not None:
            self._chip.broken = True


Make = Callable[[], Panel]


@pytest.fixture(params=["pins", "sysfs"])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def build() -> Panel:
        rack = rig.rack()
        pins = WirePins(rack, "gpio")
        if request.param == "pins":
            return Panel(rack, pins)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return Panel(rack, pins, SysfsChip(folder, lambda: aio.ticks_ms() * 1000, monkeypatch))

    return build


def test_lamps_light_one_by_one(make: Make) -> None:
    async def main() -> None:
        panel = make()
        indicators = panel.driver()
        assert not any(panel.lamps.state().values())
        for name in LAMPS:
            await indicators.lamp(name, True)
            assert panel.lamps.state() == {other: other == name for other in LAMPS}
            await indicators.lamp(name, False)

    run(main())


def test_sounds_start_at_once_end_in_silence_and_differ(make: Make) -> None:
    async def main() -> None:
        heard = []
        for name in SOUNDS:
            panel = make()
            indicators = panel.driver()
            start = aio.ticks_ms()
            await indicators.sound(name)
            assert aio.elapsed_ms(start) == 0
            await aio.sleep_ms(3000)
            assert panel.buzzer.frequency == 0
            first = panel.buzzer.heard[0][0]
            heard.append(tuple((at - first, hz) for at, hz in panel.buzzer.heard))
            assert max(hz for _, hz in panel.buzzer.heard) >= 400
        assert len(set(heard)) == len(SOUNDS)

    run(main())


def test_a_new_sound_cuts_the_old_one_short(make: Make) -> None:
    async def main() -> None:
        panel = make()
        indicators = panel.driver()
        await indicators.sound("error")
        await aio.sleep_ms(10)
        await indicators.sound("key")
        await indicators.sound("card")
        await aio.sleep_ms(3000)
        assert [hz for _, hz in panel.buzzer.heard] == [400, 0, 2000, 0]

    run(main())


def test_names_that_do_not_exist_are_refused_and_names_that_a_board_lacks_do_nothing(
    make: Make,
) -> None:
    async def main() -> None:
        panel = make()
        indicators = panel.driver({"ok": 11}, False)
        with pytest.raises(ValueError, match="no lamp"):
            await indicators.lamp("green", True)
        with pytest.raises(ValueError, match="no sound"):
            await indicators.sound("song")
        await indicators.lamp("ready", True)
        await indicators.sound("ok")
        await aio.sleep_ms(1000)
        assert panel.buzzer.heard == []
        with pytest.raises(ValueError, match="no lamp"):
            panel.driver({"green": 1})

    run(main())


def test_a_dead_bus_is_named(make: Make) -> None:
    async def main() -> None:
        panel = make()
        indicators = panel.driver()
        panel.fail()
        with pytest.raises(IndicatorError):
            await indicators.lamp("ok", True)
        await indicators.sound("ok")
        await aio.sleep_ms(100)
        with pytest.raises(IndicatorError):  # a sound's failure is heard of by the next
            await indicators.sound("ok")
        with pytest.raises(IndicatorError):
            panel.driver()

    run(main())
