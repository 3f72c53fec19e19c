"""Keys, scanner and swipe reader as the kernel's input devices (uinput)."""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Callable, Iterator

import pytest

evdev = pytest.importorskip("evdev")

TEXT = "6901234567892"
CODES = {"0": 11, **{str(digit): digit + 1 for digit in range(1, 10)}}
ENTER = 28
#: Milliseconds; an event that is there is there at once.
WAIT_MS = 2000


@pytest.fixture
def keyboard(need: Callable[..., None]) -> Iterator[evdev.UInput]:
    """A USB keyboard, as a scanner in keyboard mode looks to the kernel."""
    need("uinput", "evdev")
    device = evdev.UInput(
        {evdev.ecodes.EV_KEY: [*CODES.values(), ENTER]},
        name="OpenTill test scanner", vendor=0x05E0, product=0x1200, bustype=evdev.ecodes.BUS_USB,
    )  # fmt: skip
    yield device
    device.close()


def type_text(keyboard: evdev.UInput) -> None:
    for code in [CODES[char] for char in TEXT] + [ENTER]:
        for value in (1, 0):
            keyboard.write(evdev.ecodes.EV_KEY, code, value)
            keyboard.syn()


def pressed(device: evdev.InputDevice, count: int) -> list[int]:
    """Codes of the next ``count`` key presses, fewer when no more come."""
    codes: list[int] = []
    while len(codes) < count and select.select([device.fd], [], [], WAIT_MS / 1000)[0]:
        codes += [
            event.code
            for event in device.read()
            if event.type == evdev.ecodes.EV_KEY and event.value == 1
        ]
    return codes


def test_a_scan_is_read_and_heard_by_nobody_else(keyboard: evdev.UInput) -> None:
    path = keyboard.device.path
    mine, other = evdev.InputDevice(path), evdev.InputDevice(path)
    mine.grab()
    type_text(keyboard)
    assert pressed(mine, len(TEXT) + 1) == [CODES[char] for char in TEXT] + [ENTER]
    assert select.select([other.fd], [], [], 0)[0] == []
    mine.ungrab()
    type_text(keyboard)
    assert pressed(other, len(TEXT) + 1)[-1] == ENTER
    with pytest.raises(OSError, match="busy"):
        mine.grab()
        other.grab()
    mine.close()
    other.close()


def test_the_console_hears_a_scan_only_while_nobody_has_grabbed_it(keyboard: evdev.UInput) -> None:
    """The kernel's keyboard handler types into the active virtual console."""
    with open("/dev/tty1", "r+b", buffering=0) as console:
        device = evdev.InputDevice(keyboard.device.path)
        os.set_blocking(console.fileno(), False)
        termios.tcflush(console, termios.TCIFLUSH)
        type_text(keyboard)
        assert select.select([console], [], [], WAIT_MS / 1000)[0], "keys reach the console"
        heard = console.read()
        device.grab()
        type_text(keyboard)
        assert pressed(device, 2 * (len(TEXT) + 1))[-1] == ENTER
        assert select.select([console], [], [], 0)[0] == [], "a grabbed scan reached the console"
        assert heard == (TEXT + "\n").encode()
        device.close()


def test_an_unplugged_device_is_an_error_of_its_reader(keyboard: evdev.UInput) -> None:
    device = evdev.InputDevice(keyboard.device.path)
    device.grab()
    keyboard.close()
    assert select.select([device.fd], [], [], WAIT_MS / 1000)[0]
    with pytest.raises(OSError, match="No such device"):
        device.read_one()
    device.close()
