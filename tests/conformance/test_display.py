"""Conformance of hal.display: what every display driver must do."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from firmware.buses.wire_bus import WireDisplay
from firmware.drivers.oled import Oled
from firmware.drivers.oled_bare import BareOled
from firmware.hal.display import Display, DisplayError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run

Make = Callable[[], tuple[Display, Rack]]


@pytest.fixture(params=[(b, d) for b in ("virtual", "virtual-sh1106") for d in (Oled, BareOled)])
def make(request: pytest.FixtureRequest) -> Make:
    name, driver = request.param

    def build() -> tuple[Display, Rack]:
        data = rig.board(name)
        rack = rig.rack(data)
        panel: dict[str, Any] = data["display"]
        bus = WireDisplay(rack, "panel")
        size = panel["width"], panel["height"], panel["column_offset"]
        return driver(bus, panel["driver"], *size), rack

    return build


def test_the_panel_is_blank_and_on_after_start(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        assert (display.width, display.height) == (128, 64)
        assert rack.display.on
        assert rack.display.frame() == bytes(1024)

    run(main())


def test_every_frame_is_shown_exactly(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        dice = random.Random(5)
        frame = bytearray(1024)
        for _ in range(30):
            for _ in range(dice.randint(0, 60)):
                frame[dice.randrange(1024)] = dice.randrange(256)
            await display.show(frame)
            assert rack.display.frame() == frame

    run(main())


def test_only_what_changed_is_sent(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        frame = bytearray(1024)
        await display.show(frame)
        before = rack.display.data_bytes
        await display.show(frame)
        assert rack.display.data_bytes == before
        frame[3 * 128 + 50] = 0xFF
        frame[3 * 128 + 52] = 0xFF
        frame[7 * 128 + 127] = 1
        await display.show(frame)
        assert rack.display.data_bytes == before + 3 + 1
        assert rack.display.frame() == frame

    run(main())


def test_a_frame_of_the_wrong_size_is_refused(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        for size in (0, 1023, 1025):
            with pytest.raises(ValueError, match="frame"):
                await display.show(bytes(size))
        await display.show(bytes([1] * 1024))
        assert rack.display.frame() == bytes([1] * 1024)

    run(main())


def test_a_restart_brings_a_panel_up_that_lost_its_supply(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        frame = bytes([5] * 1024)
        await display.show(frame)
        rack.display.transfer(1, b"\xae\xa5")  # off, and no longer showing its memory
        rack.display.memory[:] = bytes(len(rack.display.memory))
        await display.restart()
        assert rack.display.on
        assert rack.display.frame() == bytes(1024)
        await display.show(frame)
        assert rack.display.frame() == frame

    run(main())


def test_power_keeps_the_picture(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        frame = bytes(range(256)) * 4
        await display.show(frame)
        await display.power(False)
        assert rack.display.frame() == bytes(1024)
        await display.power(True)
        assert rack.display.frame() == frame

    run(main())


def test_contrast(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        await display.contrast(17)
        assert rack.display.contrast == 17
        for level in (-1, 256):
            with pytest.raises(ValueError, match="contrast"):
                await display.contrast(level)

    run(main())


def test_a_panel_that_does_not_answer_is_named_and_comes_back_whole(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        rack.display.mute = True
        for wait in (display.show(bytes([3] * 1024)), display.power(True), display.contrast(1)):
            with pytest.raises(DisplayError, match="no acknowledge"):
                await wait
        rack.display.mute = False
        # Somebody pulled the ribbon: the memory is not what was last sent.
        rack.display.memory[:] = bytes([0x5A]) * len(rack.display.memory)
        await display.show(bytes(1024))
        assert rack.display.frame() == bytes(1024)

    run(main())


def test_a_panel_that_is_not_there_is_named_at_start(make: Make) -> None:
    async def main() -> None:
        rack = rig.rack()
        rack.display.mute = True
        for driver in (Oled, BareOled):
            with pytest.raises(DisplayError, match="no acknowledge"):
                driver(WireDisplay(rack, "panel"), "ssd1306", 128, 64, 0)

    run(main())
