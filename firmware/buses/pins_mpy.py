"""Bus: pins of a microcontroller, by MicroPython's ``machine.Pin`` and ``machine.PWM``.

Numbers are those of the chip (GP0 of an RP2350, GPIO0 of an ESP32).
"""

from firmware.buses.pins import IN, IN_PULLUP, OUT, Pins
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MpyPins(Pins):
    """The chip's own pins."""

    def __init__(self) -> None:
        import machine

        self._machine: "Any" = machine
        self._pins: "dict[int, Any]" = {}
        self._waves: "dict[int, Any]" = {}

    def _pin(self, pin: int) -> "Any":
        known = self._pins.get(pin)
        if known is None:
            try:
                known = self._machine.Pin(pin)
            except (ValueError, TypeError, OSError) as error:
                raise BusError("pin " + str(pin) + ": " + str(error)) from None
            self._pins[pin] = known
        return known

    def mode(self, pin: int, mode: int) -> None:
        """IN, IN_PULLUP or OUT, which begins low. BusError."""
        if mode not in (IN, IN_PULLUP, OUT):
            raise ValueError("no pin mode " + str(mode))
        known, kinds = self._pin(pin), self._machine.Pin
        try:
            self._silence(pin)
            if mode == OUT:
                known.init(kinds.OUT, None, value=0)
            else:
                known.init(kinds.IN, kinds.PULL_UP if mode == IN_PULLUP else None)
        except (ValueError, OSError) as error:  # ValueError: a pin that can only be read
            raise BusError("pin " + str(pin) + ": " + str(error)) from None

    def write(self, pin: int, level: int) -> None:
        """Drive an output. BusError."""
        try:
            self._pin(pin).value(1 if level else 0)
        except OSError as error:
            raise BusError("pin " + str(pin) + ": " + str(error)) from None

    def read(self, pin: int) -> int:
        """Level, 0 or 1. BusError."""
        try:
            return 1 if self._pin(pin).value() else 0
        except OSError as error:
            raise BusError("pin " + str(pin) + ": " + str(error)) from None

    def pwm(self, pin: int, frequency: int, duty: int) -> None:
        """Square wave; duty 0 stops it and leaves the pin low. BusError, also for a
        frequency that the chip cannot make (an RP2350: 8 Hz at least)."""
        known = self._pin(pin)
        try:
            if frequency <= 0 or duty <= 0:
                self._silence(pin)
                known.init(self._machine.Pin.OUT, None, value=0)
                return
            high = 65535 * min(duty, 100) // 100
            wave = self._waves.get(pin)
            if wave is None:
                self._waves[pin] = self._machine.PWM(known, freq=frequency, duty_u16=high)
            else:
                wave.init(freq=frequency, duty_u16=high)
        except (ValueError, OSError) as error:
            raise BusError("pin " + str(pin) + ": " + str(error)) from None

    def _silence(self, pin: int) -> None:
        wave = self._waves.pop(pin, None)
        if wave is not None:
            wave.deinit()
