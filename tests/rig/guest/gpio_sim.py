"""A header of simulated pins: the kernel's gpio-sim by configfs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rig.guest.waiting import until

CONFIGFS = Path("/sys/kernel/config/gpio-sim")

#: A Zero 2 W, by the revision code that its firmware tells.
ZERO_2_W = "902120"


class Header:
    """One chip of ``count`` lines. What is outside the chip is told by ``pull``."""

    def __init__(self, count: int = 54) -> None:
        self._device = CONFIGFS / "rig"
        self._bank = self._device / "header"
        self._device.mkdir()
        self._bank.mkdir()
        (self._bank / "num_lines").write_text(str(count))
        (self._device / "live").write_text("1")
        self.name = (self._bank / "chip_name").read_text().strip()
        device = (self._device / "dev_name").read_text().strip()
        self._lines = Path("/sys/devices/platform") / device / self.name
        until(Path("/dev", self.name).exists, "the chip's device file")

    @property
    def number(self) -> int:
        """N of /dev/gpiochipN."""
        return int(self.name.removeprefix("gpiochip"))

    def pull(self, line: int, level: int) -> None:
        """What an input reads from now on."""
        text = "pull-up" if level else "pull-down"
        (self._lines / f"sim_gpio{line}" / "pull").write_text(text)

    def level(self, line: int) -> int:
        """What the line carries."""
        return int((self._lines / f"sim_gpio{line}" / "value").read_text())

    def close(self) -> None:
        """Take the chip out."""
        (self._device / "live").write_text("0")
        self._bank.rmdir()
        self._device.rmdir()


@contextmanager
def raspberry_pi(monkeypatch: pytest.MonkeyPatch) -> Iterator[Header]:
    """A header that rpi-lgpio takes for a Raspberry Pi's."""
    header = Header()
    monkeypatch.setenv("RPI_LGPIO_REVISION", ZERO_2_W)
    monkeypatch.setenv("RPI_LGPIO_CHIP", str(header.number))
    monkeypatch.setenv("LG_WD", "/tmp")
    yield header
    from RPi import GPIO

    GPIO.cleanup()
    header.close()
