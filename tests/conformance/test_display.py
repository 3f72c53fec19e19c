"""Conformance of hal.display: what every display driver must do."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from luma.core.interface import serial

from firmware.aio import run
from firmware.buses import display_spi
from firmware.buses.display_bus import DisplayBus
from firmware.buses.luma_bus import luma_i2c, luma_spi
from firmware.buses.pins_rpi import RpiPins
from firmware.buses.spi_linux import LinuxSpi
from firmware.buses.wire_bus import WireDisplay
from firmware.drivers.oled import Oled
from firmware.drivers.oled_bare import BareOled
from firmware.drivers.panel_bare import BarePanel
from firmware.hal.display import Display, DisplayError
from host_tools.emulator.chips.display_parts import DisplayChip
from host_tools.emulator.chips.st7789 import St7789
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.pi_parts import (
    I2C_ADDRESS,
    I2C_PORT,
    FakeGpio,
    PanelSmbus,
    PanelSpidev,
)

Make = Callable[[], tuple[Display, Rack]]


SH1106 = {"driver": "sh1106", "width": 128, "height": 64, "column_offset": 2}
SSD1306 = {"driver": "ssd1306", "width": 128, "height": 64}
SSD1309 = {"driver": "ssd1309", "width": 128, "height": 64}
SSD1322 = {"driver": "ssd1322", "width": 256, "height": 64}
SSD1322_HALF = {"driver": "ssd1322", "width": 128, "height": 64}
ST7789 = {"driver": "st7789", "width": 320, "height": 240}
ST7789_SQUARE = {"driver": "st7789", "width": 240, "height": 240, "column_offset": 80}
DC, RESET = 24, 25
PANELS: list[tuple[dict[str, Any], Any]] = [
    *((panel, driver) for panel in (SSD1306, SSD1309, SH1106) for driver in (Oled, BareOled)),
    *(
        (panel, driver)
        for panel in (SSD1322, SSD1322_HALF, ST7789, ST7789_SQUARE)
        for driver in (Oled, BarePanel)
    ),
]
#: Panel, driver, and the bus between them: the virtual board's wire, or one of Linux.
PLACES: list[tuple[dict[str, Any], Any, str]] = [
    *((panel, driver, "wire") for panel, driver in PANELS),
    *((panel, Oled, "luma_i2c") for panel in (SSD1306, SH1106)),
    *((panel, Oled, "luma_spi") for panel in (SSD1306, SSD1322, ST7789)),
    *((panel, Oled, "spi_display") for panel in (SH1106, SSD1322, ST7789_SQUARE)),
]


def _linux(bus: str, panel: DisplayChip, monkeypatch: pytest.MonkeyPatch) -> DisplayBus:
    """As ``firmware.board_buses`` makes it, the panel behind the libraries below it."""
    if bus == "luma_i2c":
        PanelSmbus(panel, monkeypatch)
        return luma_i2c(I2C_PORT, I2C_ADDRESS)
    PanelSpidev(panel, FakeGpio(monkeypatch), DC, RESET, monkeypatch)
    monkeypatch.setattr(serial, "sleep", lambda _: None)
    monkeypatch.setattr(display_spi, "time", SimpleNamespace(sleep=lambda _: None))
    if bus == "luma_spi":
        return luma_spi(0, 0, DC, RESET)
    return display_spi.SpiDisplay(LinuxSpi(0, 0, 8_000_000), RpiPins(), DC, RESET)


@pytest.fixture(
    params=PLACES, ids=lambda p: f"{p[0]['driver']}-{p[0]['width']}-{p[1].__name__}-{p[2]}"
)
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    panel, driver, kind = request.param

    def build() -> tuple[Display, Rack]:
        rack = rig.rack({**rig.board(), "display": panel})
        size = panel["width"], panel["height"], panel.get("column_offset", 0)
        bus: DisplayBus = WireDisplay(rack, "panel")
        if kind != "wire":
            bus = _linux(kind, rack.display, monkeypatch)
        return driver(bus, panel["driver"], *size), rack

    return build


def _size(display: Display) -> int:
    return display.width * display.height // 8


def test_the_panel_is_blank_and_on_after_start(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        assert (display.width, display.height) == (rack.display.width, rack.display.height)
        assert rack.display.on
        assert rack.display.frame() == bytes(_size(display))
        if rack.display.controller != "sh1106":  # to which luma sends an SSD1306's 20h
            assert rack.display.unknown == []

    run(main())


def test_every_frame_is_shown_exactly(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        dice = random.Random(5)
        frame = bytearray(_size(display))
        for _ in range(30 if _size(display) <= 1024 else 4):
            for _ in range(dice.randint(0, 60)):
                frame[dice.randrange(len(frame))] = dice.randrange(256)
            await display.show(frame)
            assert rack.display.frame() == frame

    run(main())


def test_only_what_changed_is_sent(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        width = display.width
        frame = bytearray(_size(display))
        await display.show(frame)
        before = rack.display.data_bytes
        await display.show(frame)
        assert rack.display.data_bytes == before
        frame[3 * width + 48] = 0xFF
        frame[3 * width + 50] = 0xFF
        frame[7 * width + width - 1] = 1
        await display.show(frame)
        # Columns of eight dots, or windows of two ends each way, and dots of 4 or 16 bits.
        sent = {"ssd1322": 2 * (4 + 4 * 4), "st7789": 3 * (8 + 16)}
        assert rack.display.data_bytes - before == sent.get(rack.display.controller, 3 + 1)
        assert rack.display.frame() == frame

    run(main())


def test_a_frame_of_the_wrong_size_is_refused(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        whole = _size(display)
        for size in (0, whole - 1, whole + 1):
            with pytest.raises(ValueError, match="frame"):
                await display.show(bytes(size))
        await display.show(bytes([1] * whole))
        assert rack.display.frame() == bytes([1] * whole)

    run(main())


def test_a_restart_brings_a_panel_up_that_lost_its_supply(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        frame = bytes([5] * _size(display))
        await display.show(frame)
        colour = rack.display.controller == "st7789"
        # Off, and no longer showing its memory.
        rack.display.transfer(1, b"\x01" if colour else b"\xae\xa5")
        rack.display.memory[:] = [0x55] * len(rack.display.memory)
        await display.restart()
        assert rack.display.on
        assert rack.display.frame() == bytes(len(frame))
        await display.show(frame)
        assert rack.display.frame() == frame

    run(main())


def test_power_keeps_the_picture(make: Make) -> None:
    async def main() -> None:
        display, rack = make()
        frame = (bytes(range(256)) * 40)[: _size(display)]
        await display.show(frame)
        await display.power(False)
        assert rack.display.frame() == bytes(len(frame))
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
        whole = _size(display)
        for wait in (display.show(bytes([3] * whole)), display.power(True), display.contrast(1)):
            with pytest.raises(DisplayError, match=r"no acknowledge|^display: "):
                await wait
        rack.display.mute = False
        # Somebody pulled the ribbon: the memory is not what was last sent.
        rack.display.memory[:] = [0x5A] * len(rack.display.memory)
        await display.show(bytes(whole))
        assert rack.display.frame() == bytes(whole)

    run(main())


def test_a_panel_that_is_not_there_is_named_at_start(make: Make) -> None:
    async def main() -> None:
        rack = rig.rack()
        rack.display.mute = True
        for driver in (Oled, BareOled):
            with pytest.raises(DisplayError, match="no acknowledge"):
                driver(WireDisplay(rack, "panel"), "ssd1306", 128, 64, 0)
        for driver in (Oled, BarePanel):
            for controller in ("ssd1322", "st7789"):
                with pytest.raises(DisplayError, match="no acknowledge"):
                    driver(WireDisplay(rack, "panel"), controller, 256, 64)

    run(main())


def test_a_colour_panel_shows_the_two_colours() -> None:
    async def main() -> None:
        for driver in (Oled, BarePanel):
            rack = rig.rack({**rig.board(), "display": ST7789})
            bus = WireDisplay(rack, "panel")
            display: Display = driver(bus, "st7789", 320, 240, 0, 0xFFB000, 0x001830)
            frame = bytearray(_size(display))
            frame[0] = 1
            frame[-1] = 0x80
            await display.show(frame)
            chip = rack.display
            assert isinstance(chip, St7789)
            seen = {(x, y): chip.colour(x, y) for x in (0, 1, 319) for y in (0, 1, 239)}
            ink = {(0, 0), (319, 239)}
            # Five, six and five bits: what is lost of a colour is below them.
            for place, colour in seen.items():
                wanted = 0xFFB000 if place in ink else 0x001830
                assert colour & 0xF8FCF8 == wanted & 0xF8FCF8

    run(main())


def test_columns_that_come_in_groups_are_refused_when_they_do_not_fit() -> None:
    async def main() -> None:
        rack = rig.rack({**rig.board(), "display": SSD1322})
        with pytest.raises(ValueError, match="groups of four"):
            BarePanel(WireDisplay(rack, "panel"), "ssd1322", 250, 64)
        with pytest.raises(ValueError, match="no controller"):
            BarePanel(WireDisplay(rack, "panel"), "ssd1306", 128, 64)

    run(main())
