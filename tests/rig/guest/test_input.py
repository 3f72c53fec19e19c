"""Scanner, swipe reader and keypad as input devices of the kernel (uinput).

The drivers are the terminal's; below python-evdev are real event nodes with
the kernel's own grab, buffer, key repeat and hang-up.
"""

from __future__ import annotations

import os
import random
import select
import termios
from collections.abc import Callable, Iterator
from io import FileIO

import pytest

from firmware import aio
from firmware.buses.evdev_linux import EvdevInput
from firmware.drivers.key_device import KeyDevice
from firmware.drivers.key_lines import KeyLines
from firmware.drivers.line_scanner import MOST, LineScanner
from firmware.drivers.line_stripe import LineStripe
from firmware.drivers.pin_pad import PinPad
from firmware.drivers.pin_store import PinStore
from firmware.drivers.stripe_tracks import MOST as TRACKS
from firmware.hal.keypad import KeypadGone
from firmware.hal.scanner import ScannerMissing, ScanRefused
from host_tools.emulator.chips.hid_keys import HidKeys
from tests.rig.guest.waiting import Story, tell, until

evdev = pytest.importorskip("evdev")

SCANNER, NUMBERS = "05e0:1200", "1a2c:0e24"
#: What the kernel's driver gpio-keys calls its device, and where that is plugged in.
PINS, HEADER = "0001:0001", "gpio-keys"
CODES = {79: "1", 80: "2", 81: "3", 75: "4", 96: "enter", 1: "cancel"}
LIMIT_MS = 100_000
STORM, STORM_MS = 100, 1_150_000


class Keyboard:
    """A USB keyboard, what poses as one, or keys on pins, as the kernel knows it."""

    def __init__(self, product: str = SCANNER, port: str = "usb-1.1") -> None:
        self._product = [int(part, 16) for part in product.split(":")]
        self._port = port
        self._bus = evdev.ecodes.BUS_HOST if port == HEADER else evdev.ecodes.BUS_USB
        self.plug()

    def plug(self) -> None:
        """Its node is there when this returns."""
        vendor, product = self._product
        self._device = evdev.UInput(
            {evdev.ecodes.EV_KEY: range(1, 128)},
            name="OpenTill test keys", vendor=vendor, product=product,
            bustype=self._bus, phys=f"{self._port}/input0",
        )  # fmt: skip
        until(lambda: self._device.device is not None, "the event node")

    @property
    def path(self) -> str:
        """Its event node."""
        return str(self._device.device.path)

    def unplug(self) -> None:
        """The node is gone when this returns; harmless twice."""
        self._device.close()

    def key(self, code: int, value: int) -> None:
        """One event and its end of packet."""
        self._device.write(evdev.ecodes.EV_KEY, code, value)
        self._device.syn()

    def press(self, *codes: int) -> None:
        """Each down and up."""
        for code in codes:
            self.key(code, 1)
            self.key(code, 0)

    def type(self, text: str) -> None:
        """All at once, faster than any device."""
        chip = HidKeys(lambda: 0, pace_us=0)
        chip.type(text)
        while answer := chip.transfer(1, b"")[0]:
            for at in range(0, len(answer), 4):
                self.key(int.from_bytes(answer[at + 1 : at + 3], "big"), answer[at + 3])


async def typed(keyboard: Keyboard, text: str) -> None:
    """Character by character, as a device of at most 1000 reports a second does."""
    for char in text:
        keyboard.type(char)
        await aio.sleep_ms(1)


class Plugs:
    """Keyboards of one test; all out in the end."""

    def __init__(self) -> None:
        self._made: list[Keyboard] = []

    def keyboard(self, product: str = SCANNER, port: str = "usb-1.1") -> Keyboard:
        self._made.append(Keyboard(product, port))
        return self._made[-1]

    def clear(self) -> None:
        for keyboard in self._made:
            keyboard.unplug()


@pytest.fixture
def plugs(need: Callable[..., None]) -> Iterator[Plugs]:
    need("uinput", "evdev")
    plugs = Plugs()
    yield plugs
    plugs.clear()


@pytest.fixture
def console() -> Iterator[FileIO]:
    """The active virtual console, to which the kernel's keyboard handler types."""
    with open("/dev/tty1", "r+b", buffering=0) as tty:
        os.set_blocking(tty.fileno(), False)
        termios.tcflush(tty, termios.TCIFLUSH)
        yield tty


def run(story: Callable[[], Story], limit_ms: int = LIMIT_MS) -> None:
    async def main() -> None:
        await aio.deadline(limit_ms, story(), "the story")

    aio.run(main())


def test_a_scan_is_ours_alone_and_people_still_type(plugs: Plugs, console: FileIO) -> None:
    gun, human = plugs.keyboard(), plugs.keyboard("046d:c31c", "usb-1.2")

    async def story() -> None:
        bus = EvdevInput([SCANNER])
        scanner = LineScanner(KeyLines(bus, MOST))
        await typed(gun, "6901234567892\n")
        await typed(human, "people\n")
        assert (await scanner.read()).text == "6901234567892"
        until(lambda: select.select([console], [], [], 0)[0], "the console's line")
        assert console.read() == b"people\n"
        await scanner.close()
        await typed(gun, "free\n")
        until(lambda: select.select([console], [], [], 0)[0], "the console's line")
        assert console.read() == b"free\n", "let go with the scanner"

    run(story)


def test_a_scanner_that_another_program_holds_is_named(plugs: Plugs) -> None:
    gun = plugs.keyboard()

    async def story() -> None:
        other = evdev.InputDevice(gun.path)
        other.grab()
        bus = EvdevInput([SCANNER])
        (missing,) = bus.missing()
        assert missing.startswith(f"{SCANNER} (another program holds it: ")
        other.close()
        while bus.missing():
            await aio.sleep_ms(50)
        await bus.close()

    run(story)


def test_unplugged_in_the_middle_of_a_code_and_plugged_in_again(plugs: Plugs) -> None:
    gun = plugs.keyboard()

    async def story() -> None:
        bus = EvdevInput([SCANNER])
        scanner = LineScanner(KeyLines(bus, MOST))
        for _ in range(3):
            await typed(gun, "69012")
            gun.unplug()
            with pytest.raises(ScannerMissing):
                await scanner.read()
            gun.plug()
            while bus.missing():
                await aio.sleep_ms(20)
            await typed(gun, "whole\n")
            assert (await scanner.read()).text == "whole"
        await scanner.close()

    run(story)


def test_two_scanners_of_one_make_at_once(plugs: Plugs) -> None:
    one, two = plugs.keyboard(), plugs.keyboard(SCANNER, "usb-1.2")

    async def story() -> None:
        scanner = LineScanner(KeyLines(EvdevInput([SCANNER]), MOST))
        for left, right in zip("Left-123\n", "RIGHT:45\n", strict=True):
            await typed(one, left)
            await typed(two, right)
        got = [await scanner.read(), await scanner.read()]
        assert sorted(scan.text for scan in got) == ["Left-123", "RIGHT:45"]
        assert got[0].source != got[1].source
        await scanner.close()

    run(story)


def test_keys_that_the_kernel_dropped_spoil_their_code_and_not_the_next(plugs: Plugs) -> None:
    """Nobody reads while it types, and the kernel keeps only so many events."""
    gun = plugs.keyboard()

    async def story() -> None:
        scanner = LineScanner(KeyLines(EvdevInput([SCANNER]), MOST))
        gun.type("0123456789" * 100)
        await aio.sleep_ms(50)
        await typed(gun, "\n")
        with pytest.raises(ScanRefused) as refused:
            await scanner.read()
        assert refused.value.cause == "keys"
        await typed(gun, "next\n")
        assert (await scanner.read()).text == "next"
        await scanner.close()

    run(story)


def test_a_swipe(plugs: Plugs, console: FileIO) -> None:
    reader = plugs.keyboard("0801:0002")

    async def story() -> None:
        stripe = LineStripe(KeyLines(EvdevInput(["0801:0002"]), TRACKS))
        await typed(reader, "%B6222020000000000000^A/B^3012201?;6222020000000000000=3012201?\n")
        swipe = await stripe.read()
        assert swipe.pan() == b"6222020000000000000"
        assert select.select([console], [], [], 0)[0] == [], "a card's data reached the console"
        swipe.wipe()
        await stripe.close()

    run(story)


def test_a_keypad_unplugged_during_pin_entry_clears_the_digits(plugs: Plugs) -> None:
    block = plugs.keyboard(NUMBERS)

    async def story() -> None:
        bus = EvdevInput([NUMBERS])
        keypad, store, counts = KeyDevice(bus, CODES), PinStore(), aio.Queue()
        pad = PinPad(keypad, store)

        def counted(count: int) -> None:
            counts.put(count)

        entry = aio.spawn("pin", pad.enter(counted))
        await aio.sleep_ms(0)
        block.press(79, 80, 81)
        assert [await counts.get() for _ in range(3)] == [1, 2, 3]
        block.unplug()
        with pytest.raises(KeypadGone):
            await entry.join()
        assert store._pins == []
        block.plug()
        while bus.missing():
            await aio.sleep_ms(20)
        entry = aio.spawn("pin", pad.enter(counted))
        await aio.sleep_ms(0)
        block.press(75, 75, 75, 75, 96)
        assert store.digits(await entry.join()) == b"4444"
        keypad.stop()
        await bus.close()

    run(story)


def test_repeats_of_a_held_digit_are_not_heard(plugs: Plugs) -> None:
    """The terminal repeats what repeats itself, and no digit does."""
    block = plugs.keyboard(NUMBERS)

    async def story() -> None:
        bus = EvdevInput([NUMBERS])
        block.key(79, 1)
        for _ in range(5):
            block.key(79, 2)
        values: list[int] = []
        while len(values) < 6:
            values += [value for _, code, value in await bus.read() if code == 79]
        assert values == [1, 2, 2, 2, 2, 2], "so they do come out of the kernel"
        block.key(79, 0)
        await bus.read()
        keypad = KeyDevice(bus, CODES)
        keypad.start()
        block.key(79, 1)
        for _ in range(5):
            block.key(79, 2)
        block.key(79, 0)
        block.press(80)
        assert [await keypad.read(), await keypad.read()] == ["1", "2"]
        keypad.stop()
        await bus.close()

    run(story)


def test_keys_on_pins_repeat_though_the_kernel_does_not(plugs: Plugs) -> None:
    """gpio-keys is on no bus and has no EV_REP; a held "clear" clears on all the same."""
    keys = plugs.keyboard(PINS, HEADER)

    async def story() -> None:
        device = evdev.InputDevice(keys.path)
        assert device.info.bustype == evdev.ecodes.BUS_HOST
        assert evdev.ecodes.EV_REP not in device.capabilities()
        device.close()
        bus = EvdevInput([keys.path])
        keypad = KeyDevice(bus, {**CODES, 14: "clear"})
        await keypad.check()
        keypad.start()
        keys.press(79, 80)
        assert [await keypad.read(), await keypad.read()] == ["1", "2"]
        keys.key(14, 1)
        assert [await keypad.read() for _ in range(3)] == ["clear"] * 3
        keys.key(14, 0)
        keys.press(96)
        while (key := await keypad.read()) == "clear":
            pass
        assert key == "enter" and keypad.held() == []
        keypad.stop()
        await bus.close()

    run(story)


@pytest.mark.soak
def test_a_storm_of_replugs(plugs: Plugs) -> None:
    """At any character of a code: what is read is a whole code, or it is said by name."""
    gun = plugs.keyboard()
    draw = random.Random(1)

    async def story() -> None:
        bus = EvdevInput([SCANNER])
        scanner = LineScanner(KeyLines(bus, MOST))
        for number in range(1, STORM + 1):
            code = f"{number:013}"
            await typed(gun, code[: draw.randrange(14)])
            gun.unplug()
            with pytest.raises(ScannerMissing):
                await scanner.read()
            gun.plug()
            while bus.missing():
                await aio.sleep_ms(20)
            await typed(gun, code + "\n")
            assert (await scanner.read()).text == code
            if number % 25 == 0:
                tell(f"{number} re-plugs of the scanner")
        await scanner.close()

    run(story, STORM_MS)
