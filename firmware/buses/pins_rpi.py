"""Bus: Raspberry Pi header pins, by RPi.GPIO or rpi-lgpio (Linux, CPython only).

Both packages offer the module ``RPi.GPIO``, exclude each other, and raise at
import off a Pi: hence the late import. Pins are Broadcom numbers. Keys are
scanned by polling, because RPi.GPIO's edge detection fails on Pi kernels
from 6.6 on.

Below rpi-lgpio is lgpio, whose errors derive from Exception alone. It makes a
pipe in the folder where the process stands; or in LG_WD, where it then leaves
the process.
"""

import os
import sys
import tempfile

from firmware.buses.pins import IN, IN_PULLUP, OUT, Pins
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _installed() -> "list[str]":
    """Which of the two packages are installed; each puts its files over the other's."""
    from importlib import metadata

    found = []
    for name in ("RPi.GPIO", "rpi-lgpio"):
        try:
            metadata.version(name)
            found.append(name)
        except metadata.PackageNotFoundError:
            pass
    return found


class RpiPins(Pins):
    """The pins of the 40-pin header."""

    def __init__(self) -> None:
        """BusError when the library is missing or doubled, or this is no Pi."""
        both = _installed()
        if len(both) > 1:
            raise BusError("pins: " + " and ".join(both) + " are both installed; uninstall one")
        here = os.getcwd()
        os.environ.setdefault("LG_WD", tempfile.gettempdir())
        try:
            from RPi import GPIO
        except (ImportError, RuntimeError, OSError) as error:
            raise BusError("pins: RPi.GPIO does not work here: " + str(error)) from None
        finally:
            os.chdir(here)
        self._gpio: "Any" = GPIO
        self._waves: "dict[int, Any]" = {}
        self._errors: "tuple[type[Exception], ...]" = (RuntimeError, ValueError)
        if "lgpio" in sys.modules:
            self._errors += (sys.modules["lgpio"].error,)
        GPIO.setwarnings(False)
        try:
            GPIO.setmode(GPIO.BCM)
        except self._errors as error:
            raise BusError("pins: " + str(error)) from None

    def mode(self, pin: int, mode: int) -> None:
        """IN, IN_PULLUP or OUT. BusError."""
        gpio = self._gpio
        if mode not in (IN, IN_PULLUP, OUT):
            raise ValueError("no pin mode " + str(mode))
        try:
            if mode == OUT:
                gpio.setup(pin, gpio.OUT, initial=gpio.LOW)
            elif mode == IN_PULLUP:
                gpio.setup(pin, gpio.IN, pull_up_down=gpio.PUD_UP)
            else:
                gpio.setup(pin, gpio.IN, pull_up_down=gpio.PUD_OFF)
        except self._errors as error:
            raise BusError("pin " + str(pin) + ": " + str(error)) from None

    def write(self, pin: int, level: int) -> None:
        """Drive an output. BusError."""
        try:
            self._gpio.output(pin, 1 if level else 0)
        except self._errors as error:
            raise BusError("pin " + str(pin) + ": " + str(error)) from None

    def read(self, pin: int) -> int:
        """Level, 0 or 1. BusError."""
        try:
            return 1 if self._gpio.input(pin) else 0
        except self._errors as error:
            raise BusError("pin " + str(pin) + ": " + str(error)) from None

    def pwm(self, pin: int, frequency: int, duty: int) -> None:
        """Software square wave; duty 0 stops it. BusError."""
        wave = self._waves.pop(pin, None)
        try:
            if wave is not None:
                wave.stop()
                wave = None  # one that is still held keeps another from being made
            if frequency and duty:
                wave = self._gpio.PWM(pin, frequency)
                wave.start(duty)
                self._waves[pin] = wave
        except self._errors as error:
            raise BusError("pin " + str(pin) + ": " + str(error)) from None
