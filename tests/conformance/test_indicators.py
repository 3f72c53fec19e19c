"""Conformance of hal.indicators: what every driver of lamps and buzzer must do."""

import pytest

from firmware import aio
from firmware.buses.wire_bus import WirePins
from firmware.drivers.lamps import LampsAndBuzzer
from firmware.hal.indicators import LAMPS, SOUNDS, IndicatorError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run

PINS = {"ready": 9, "busy": 10, "ok": 11, "error": 12}


def _make(lamps: dict[str, int] = PINS, buzzer: int | None = 13) -> tuple[LampsAndBuzzer, Rack]:
    rack = rig.rack()
    return LampsAndBuzzer(WirePins(rack, "gpio"), dict(lamps), buzzer), rack


def test_lamps_light_one_by_one() -> None:
    async def main() -> None:
        indicators, rack = _make()
        assert not any(rack.lamps.state().values())
        for name in LAMPS:
            await indicators.lamp(name, True)
            assert rack.lamps.state() == {other: other == name for other in LAMPS}
            await indicators.lamp(name, False)

    run(main())


def test_sounds_start_at_once_end_in_silence_and_differ() -> None:
    async def main() -> None:
        heard = []
        for name in SOUNDS:
            indicators, rack = _make()
            start = aio.ticks_ms()
            await indicators.sound(name)
            assert aio.elapsed_ms(start) == 0
            await aio.sleep_ms(3000)
            assert rack.lamps.frequency == 0
            first = rack.lamps.heard[0][0]
            heard.append(tuple((at - first, hz) for at, hz in rack.lamps.heard))
            assert max(hz for _, hz in rack.lamps.heard) >= 400
        assert len(set(heard)) == len(SOUNDS)

    run(main())


def test_a_new_sound_cuts_the_old_one_short() -> None:
    async def main() -> None:
        indicators, rack = _make()
        await indicators.sound("error")
        await aio.sleep_ms(10)
        await indicators.sound("key")
        await indicators.sound("card")
        await aio.sleep_ms(3000)
        assert [hz for _, hz in rack.lamps.heard] == [400, 0, 2000, 0]

    run(main())


def test_names_that_do_not_exist_are_refused_and_names_that_a_board_lacks_do_nothing() -> None:
    async def main() -> None:
        indicators, rack = _make({"ok": 11}, None)
        with pytest.raises(ValueError, match="no lamp"):
            await indicators.lamp("green", True)
        with pytest.raises(ValueError, match="no sound"):
            await indicators.sound("song")
        await indicators.lamp("ready", True)
        await indicators.sound("ok")
        await aio.sleep_ms(1000)
        assert rack.lamps.heard == []
        with pytest.raises(ValueError, match="no lamp"):
            _make({"green": 1})

    run(main())


def test_a_dead_bus_is_named() -> None:
    async def main() -> None:
        indicators, rack = _make()
        rack.pins.count = 0
        with pytest.raises(IndicatorError):
            await indicators.lamp("ok", True)
        await indicators.sound("ok")
        await aio.sleep_ms(100)
        with pytest.raises(IndicatorError):  # a sound's failure is heard of by the next
            await indicators.sound("ok")
        with pytest.raises(IndicatorError):
            LampsAndBuzzer(WirePins(rack, "gpio"), PINS, 13)

    run(main())
