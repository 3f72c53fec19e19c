"""Bus: square waves of the Linux kernel (Documentation/ABI/testing/sysfs-class-pwm).

Pins are the channels of one chip; they give waves and nothing else.
"""

import os

from firmware.buses.pins import OUT, Pins
from firmware.buses.wire import BusError

FOLDER = "/sys/class/pwm"


class SysfsPwm(Pins):
    """``chip``: number N of pwmchipN."""

    def __init__(self, chip: int, folder: str = FOLDER) -> None:
        """BusError when the chip is not there."""
        self._chip = f"{folder}/pwmchip{chip}"
        self._count = self._read("npwm")

    def _read(self, name: str) -> int:
        try:
            with open(f"{self._chip}/{name}", encoding="ascii") as file:
                return int(file.read(16))
        except (OSError, ValueError) as error:
            raise BusError(f"pwm {self._chip}/{name}: {error}") from None

    def _write(self, name: str, value: int) -> None:
        try:
            with open(f"{self._chip}/{name}", "w", encoding="ascii") as file:
                file.write(str(value))
        except OSError as error:
            raise BusError(f"pwm {self._chip}/{name}: {error.strerror}") from None

    def mode(self, pin: int, mode: int) -> None:
        """Take a channel as an output. BusError."""
        if mode != OUT:
            raise BusError(f"pwm {self._chip}: channel {pin} is an output only")
        if not 0 <= pin < self._count:
            raise BusError(f"pwm {self._chip}: no channel {pin}, there are {self._count}")
        if not os.path.isdir(f"{self._chip}/pwm{pin}"):
            self._write("export", pin)

    def write(self, pin: int, level: int) -> None:
        """A channel holds no level. BusError."""
        raise BusError(f"pwm {self._chip}: channel {pin} gives square waves only")

    def read(self, pin: int) -> int:
        """A channel cannot be read. BusError."""
        raise BusError(f"pwm {self._chip}: channel {pin} is an output only")

    def pwm(self, pin: int, frequency: int, duty: int) -> None:
        """Square wave; duty 0 stops it. BusError."""
        channel = f"pwm{pin}/"
        if not frequency or not duty:
            self._write(channel + "enable", 0)
            return
        period = 1_000_000_000 // frequency  # ns
        # The kernel takes no period below the duty of now.
        self._write(channel + "duty_cycle", 0)
        self._write(channel + "period", period)
        self._write(channel + "duty_cycle", period * min(duty, 100) // 100)
        self._write(channel + "enable", 1)
