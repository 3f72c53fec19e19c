"""Conformance over MicroPython's ``machine``: the suites of the device kinds run again, each
driver on the buses of a microcontroller, whose proxies lead to the same virtual chips."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from firmware.buses.display_i2c import I2cDisplay
from firmware.buses.display_spi import SpiDisplay
from firmware.buses.i2c_mpy import MpyI2c
from firmware.buses.pins_mpy import MpyPins
from firmware.buses.serial_mpy import MpySerial
from firmware.buses.spi_mpy import MpySpi
from firmware.drivers.ds3231 import Ds3231
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.drivers.key_matrix import KeyMatrix
from firmware.drivers.max17048 import Max17048
from firmware.drivers.oled_bare import BareOled
from firmware.drivers.panel_bare import BarePanel
from firmware.drivers.tamper_pin import TamperPin
from host_tools.emulator.rack import Rack
from tests.conformance import (
    test_clock,
    test_display,
    test_indicators,
    test_keypad,
    test_power,
    test_printer,
    test_tamper,
)
from tests.support import rig
from tests.support.mcu import installed
from tests.support.suites_again import Again

#: Peripheral of an RP2350: seat of the rack.
SEATS = {"pins": "gpio", "i2c1": "i2c", "spi0": "spi", "uart0": "printer"}
I2C, UART, SPI = (1, 3, 2), (0, 115200, 0, 1), (0, 18, 19, 16, 17, 20_000_000)
DC_PIN = 26
ON_I2C = {"driver": "i2c_display", "bus": "i2c1", "address": 0x3C}
ON_SPI = {"driver": "spi_display", "bus": "spi0", "pins_bus": "gpio", "dc_pin": DC_PIN}

ON_CHIP = {"driver": "mpy_spi", "select": SPI[4]}
LEFT_OUT: set[str | tuple[str, str]] = {
    # Reads the wire's own words in an error, of which ports give a number.
    "test_a_gauge_that_does_not_answer_is_named",
    # Has a microcontroller of its own.
    "test_a_microcontrollers_calendar_follows_the_chip_beside_it",
    # SPI has no acknowledge: who does not listen is not noticed.
    ("test_a_panel_that_does_not_answer_is_named_and_comes_back_whole", "display-st7789"),
}

Rig = Callable[..., Rack]


@pytest.fixture
def on_machine() -> Iterator[Rig]:
    """Makes a rack whose chips the modules ``machine`` and ``network`` lead to."""
    with ExitStack() as stack:

        def build(display: dict[str, Any] | None = None, bus: dict[str, Any] | None = None) -> Rack:
            board = rig.board()
            if display is not None and bus is not None:
                board["display"] = {**display, "bus": "mcu_panel"}
                board["bus"] = {**board["bus"], "mcu_panel": bus, "spi0": ON_CHIP}
            rack = rig.rack(board)
            stack.enter_context(installed(rack, SEATS, "rp2"))
            return rack

        yield build


def _oled(on_machine: Rig) -> tuple[BareOled, Rack]:
    rack = on_machine(test_display.SSD1306, ON_I2C)
    return BareOled(I2cDisplay(MpyI2c(*I2C)), "ssd1306", 128, 64, 0), rack


def _colour(on_machine: Rig) -> tuple[BarePanel, Rack]:
    rack = on_machine(test_display.ST7789_SQUARE, ON_SPI)
    bus = SpiDisplay(MpySpi(*SPI), MpyPins(), DC_PIN)
    return BarePanel(bus, "st7789", 240, 240, 80), rack


def _keys(on_machine: Rig) -> tuple[KeyMatrix, Any]:
    rack, pad = on_machine(), rig.board()["keypad"]
    matrix = KeyMatrix(MpyPins(), pad["rows"], pad["columns"], pad["keys"])
    matrix.start()
    return matrix, rack.keys


def _printer(on_machine: Rig) -> tuple[EscposPrinter, Rack]:
    rack = on_machine()
    return EscposPrinter(MpySerial(*UART), Profile()), rack


def _clock(on_machine: Rig) -> tuple[Ds3231, Rack]:
    rack = on_machine()
    return Ds3231(MpyI2c(*I2C)), rack


def _power(on_machine: Rig) -> tuple[Max17048, Rack]:
    rack, power = on_machine(), rig.board()["power"]
    pins = MpyPins(), power["mains_pin"], power.get("mains_level", 0)
    return Max17048(MpyI2c(*I2C), power["address"], *pins), rack


def _timed(on_machine: Rig) -> tuple[Ds3231, Any]:
    clock, rack = _clock(on_machine)
    return clock, rack.rtc


def _supplied(on_machine: Rig) -> tuple[Max17048, test_power.Gauge]:
    power, rack = _power(on_machine)
    return power, test_power.Gauge(rack)


def _tamper(on_machine: Rig) -> tuple[TamperPin, Rack]:
    rack, tamper = on_machine(), rig.board()["tamper"]
    return TamperPin(MpyPins(), tamper["pin"], tamper["open_level"]), rack


def _lamps(on_machine: Rig) -> test_indicators.Panel:
    rack = on_machine()
    return test_indicators.Panel(rack, MpyPins())


MAKERS = {
    "display-ssd1306": (test_display, _oled),
    "display-st7789": (test_display, _colour),
    "keypad": (test_keypad, _keys),
    "printer": (test_printer, _printer),
    "clock": (test_clock, _timed),
    "power": (test_power, _supplied),
    "indicators": (test_indicators, _lamps),
}
#: Functions by which tests make their device, and ours in their place.
FUNCTIONS = (
    (test_clock, "_ds3231", _clock),
    (test_power, "_make", _power),
    (test_tamper, "_make", _tamper),
)


SUITES = Again(MAKERS, FUNCTIONS, LEFT_OUT)


@pytest.fixture
def make(request: pytest.FixtureRequest, on_machine: Rig) -> Callable[[], Any]:
    maker = request.param
    return lambda: maker(on_machine)


@pytest.fixture(autouse=True)
def _made_by_functions(
    request: pytest.FixtureRequest, on_machine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    SUITES.stand_in(request.function, on_machine, monkeypatch)


pytest_generate_tests = SUITES.generate
globals().update(SUITES.tests())
