"""A key matrix on the pins of a Raspberry Pi, by rpi-lgpio, on the kernel's gpio-sim."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from firmware import aio
from firmware.buses.pins import IN, OUT
from firmware.buses.pins_rpi import RpiPins
from firmware.buses.wire import BusError
from firmware.drivers.key_matrix import KeyMatrix
from tests.rig.guest.gpio_sim import Header, raspberry_pi
from tests.rig.guest.waiting import Story

Need = Callable[..., None]
ROWS, COLUMNS = [5, 6, 13], [12, 16, 20, 21]
KEYS = [["1", "2", "3", "cancel"], ["4", "5", "6", "clear"], ["7", "8", "9", "enter"]]


class WiredPins(RpiPins):
    """The driver's pins, and the copper between them: the simulated lines know nothing of
    each other, so after each call what is driven low goes through the keys that are down."""

    def __init__(self, header: Header) -> None:
        super().__init__()
        self._header = header
        self._driven: dict[int, int] = {}
        self._pulled: dict[int, int] = {}
        self.down: set[str] = set()

    def mode(self, pin: int, mode: int) -> None:
        super().mode(pin, mode)
        self._driven.pop(pin, None)
        self._pulled.pop(pin, None)
        if mode == OUT:
            self._driven[pin] = 0
        self.settle()

    def write(self, pin: int, level: int) -> None:
        super().write(pin, level)
        self._driven[pin] = level
        self.settle()

    def settle(self) -> None:
        """Let every line that is not driven have the level that reaches it; each has a pull-up."""
        low = {pin for pin, level in self._driven.items() if not level}
        joined = [
            {row, column}
            for row, line in zip(ROWS, KEYS, strict=True)
            for column, name in zip(COLUMNS, line, strict=True)
            if name in self.down
        ]
        before = -1
        while len(low) != before:
            before = len(low)
            for pair in joined:
                if pair & low:
                    low |= pair
        for pin in ROWS + COLUMNS:
            level = 0 if pin in low else 1
            if pin not in self._driven and self._pulled.get(pin) != level:
                self._header.pull(pin, level)
                self._pulled[pin] = level


@pytest.fixture
def header(need: Need, monkeypatch: pytest.MonkeyPatch) -> Iterator[Header]:
    need("gpio-sim")
    with raspberry_pi(monkeypatch) as header:
        yield header


def _run(header: Header, story: Callable[[WiredPins, KeyMatrix], Story]) -> None:
    async def main() -> None:
        pins = WiredPins(header)
        keypad = KeyMatrix(pins, ROWS, COLUMNS, KEYS)
        keypad.start()
        try:
            await story(pins, keypad)
        finally:
            keypad.stop()

    aio.run(aio.deadline(50000, main(), "the test"))


async def _press(pins: WiredPins, keypad: KeyMatrix, *names: str) -> None:
    """Have just these keys down, and wait until the driver holds just these."""
    pins.down = set(names)
    pins.settle()
    while sorted(keypad.held()) != sorted(names):
        await aio.sleep_ms(5)


def test_every_key_of_the_matrix(header: Header) -> None:
    async def story(pins: WiredPins, keypad: KeyMatrix) -> None:
        for name in [name for line in KEYS for name in line]:
            await _press(pins, keypad, name)
            assert await keypad.read() == name
            await _press(pins, keypad)

    _run(header, story)


def test_two_keys_are_two_and_a_third_corner_makes_no_fourth(header: Header) -> None:
    async def story(pins: WiredPins, keypad: KeyMatrix) -> None:
        await _press(pins, keypad, "1")
        await _press(pins, keypad, "1", "2")
        assert [await keypad.read(), await keypad.read()] == ["1", "2"]
        pins.down = {"1", "2", "4"}  # and "5" seems to be down
        pins.settle()
        await aio.sleep_ms(500)
        assert sorted(keypad.held()) == ["1", "2"]
        await _press(pins, keypad, "1", "4")
        assert await keypad.read() == "4"

    _run(header, story)


def test_pins_are_the_kernels_lines(header: Header) -> None:
    pins = RpiPins()
    pins.mode(17, OUT)
    for level in (1, 0, 1):
        pins.write(17, level)
        assert header.level(17) == level
    pins.mode(17, IN)
    for level in (0, 1):
        header.pull(17, level)
        assert pins.read(17) == level
    with pytest.raises(BusError, match="pin 60"):
        pins.mode(60, IN)


def test_a_chip_that_is_not_there_is_named(header: Header, monkeypatch: pytest.MonkeyPatch) -> None:
    from RPi import GPIO

    GPIO.cleanup()
    monkeypatch.setenv("RPI_LGPIO_CHIP", "99")
    here = os.getcwd()
    with pytest.raises(BusError, match="can not open gpiochip"):
        RpiPins()
    assert os.getcwd() == here
