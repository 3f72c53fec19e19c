"""Conformance over a Raspberry Pi's libraries: the suites of the device kinds run again, each
driver above RPi.GPIO and smbus2, whose stand-ins lead to the same virtual chips."""

from collections.abc import Callable
from typing import Any

import pytest

from firmware.buses.i2c_linux import LinuxI2c
from firmware.buses.pins_rpi import RpiPins
from firmware.drivers.ds3231 import Ds3231
from firmware.drivers.key_matrix import KeyMatrix
from firmware.drivers.max17048 import Max17048
from firmware.drivers.tamper_pin import TamperPin
from host_tools.emulator.rack import Rack
from tests.conformance import test_clock, test_indicators, test_keypad, test_power, test_tamper
from tests.support import rig
from tests.support.pi_parts import I2C_PORT, BankGpio, RackSmbus
from tests.support.suites_again import Again

LEFT_OUT: set[str | tuple[str, str]] = {
    # Reads the wire's own words in an error, of which the kernel gives a number.
    "test_a_gauge_that_does_not_answer_is_named",
    # Has a microcontroller.
    "test_a_microcontrollers_calendar_follows_the_chip_beside_it",
}

Rig = Callable[[], Rack]


@pytest.fixture
def on_pi(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Makes a rack whose chips the libraries lead to."""

    def build() -> Rack:
        rack = rig.rack()
        BankGpio(rack, monkeypatch)
        RackSmbus(rack, monkeypatch)
        return rack

    return build


def _matrix(on_pi: Rig) -> tuple[KeyMatrix, Rack]:
    rack, pad = on_pi(), rig.board()["keypad"]
    return KeyMatrix(RpiPins(), pad["rows"], pad["columns"], pad["keys"]), rack


def _keys(on_pi: Rig) -> tuple[KeyMatrix, Any]:
    keypad, rack = _matrix(on_pi)
    return keypad, rack.keys


def _clock(on_pi: Rig) -> tuple[Ds3231, Rack]:
    rack = on_pi()
    return Ds3231(LinuxI2c(I2C_PORT)), rack


def _timed(on_pi: Rig) -> tuple[Ds3231, Any]:
    clock, rack = _clock(on_pi)
    return clock, rack.rtc


def _power(on_pi: Rig) -> tuple[Max17048, Rack]:
    rack, power = on_pi(), rig.board()["power"]
    pins = RpiPins(), power["mains_pin"], power.get("mains_level", 0)
    return Max17048(LinuxI2c(I2C_PORT), power["address"], *pins), rack


def _supplied(on_pi: Rig) -> tuple[Max17048, test_power.Gauge]:
    power, rack = _power(on_pi)
    return power, test_power.Gauge(rack)


def _tamper(on_pi: Rig) -> tuple[TamperPin, Rack]:
    rack, tamper = on_pi(), rig.board()["tamper"]
    return TamperPin(RpiPins(), tamper["pin"], tamper["open_level"]), rack


def _lamps(on_pi: Rig) -> test_indicators.Panel:
    rack = on_pi()
    return test_indicators.Panel(rack, RpiPins())


SUITES = Again(
    {
        "keypad": (test_keypad, _keys),
        "clock": (test_clock, _timed),
        "power": (test_power, _supplied),
        "indicators": (test_indicators, _lamps),
    },
    (
        (test_keypad, "_matrix", _matrix),
        (test_clock, "_ds3231", _clock),
        (test_power, "_make", _power),
        (test_tamper, "_make", _tamper),
    ),
    LEFT_OUT,
)


@pytest.fixture
def make(request: pytest.FixtureRequest, on_pi: Rig) -> Callable[[], Any]:
    maker = request.param
    return lambda: maker(on_pi)


@pytest.fixture(autouse=True)
def _made_by_functions(
    request: pytest.FixtureRequest, on_pi: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    SUITES.stand_in(request.function, on_pi, monkeypatch)


pytest_generate_tests = SUITES.generate
globals().update(SUITES.tests())
