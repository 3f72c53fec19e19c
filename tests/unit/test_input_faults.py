"""Keypads, scanners and swipe readers on lines that lie, babble, stall and break anywhere."""

from __future__ import annotations

import asyncio
import random

import pytest

from firmware import aio
from firmware.buses.serial_port import PolledSerial
from firmware.buses.wire import BusError
from firmware.buses.wire_bus import WireSerial
from firmware.buses.wire_input import WireInput
from firmware.drivers.key_device import KeyDevice
from firmware.drivers.key_lines import KeyLines
from firmware.drivers.line_scanner import MOST, LineScanner
from firmware.drivers.line_stripe import LineStripe
from firmware.drivers.lines import SerialLines
from firmware.drivers.pin_pad import PinPad
from firmware.drivers.pin_store import PinStore
from firmware.drivers.stripe_tracks import MOST as TRACKS
from firmware.hal.keypad import KeypadError
from firmware.hal.scanner import ScannerError, ScannerMissing, ScanRefused
from firmware.hal.stripe import BadSwipe, StripeError
from host_tools.emulator.chips.hid_keys import HidKeys
from host_tools.emulator.chips.serial_line import SerialLine
from tests.conformance.test_keypad import CODES, BlockFingers
from tests.conformance.test_scanner import Seat, _now_us
from tests.conformance.test_stripe import ALL, TRACK2
from tests.support.virtual_time import run

SCANS = ["6901234567892", "130123456789012345", "https://opentill.example/?a=1&B=2"]


@pytest.mark.parametrize("seed", range(6))
def test_two_scanners_unplugged_anywhere_never_give_a_part_or_a_mixture(seed: int) -> None:
    async def main() -> None:
        draw = random.Random(seed)
        chip = HidKeys(_now_us(), sources=2)
        scanner = LineScanner(KeyLines(WireInput(Seat(chip), "scanner"), MOST))
        got: list[tuple[int, str]] = []
        sent: list[tuple[int, str]] = []
        ends = asyncio.get_running_loop().time() + 20
        while asyncio.get_running_loop().time() < ends:
            source = draw.randrange(2)
            what = draw.randrange(4)
            if what == 0:
                chip.unplug(source)
            elif what == 1:
                chip.plug(source)
            elif chip._plugged[source]:
                text = draw.choice(SCANS)
                chip.type(text + "\n", source)
                sent.append((source, text))
            for _ in range(draw.randrange(4)):
                try:
                    name, scan = await aio.first(
                        ("scan", scanner.read()), timeout_ms=draw.randrange(1, 120)
                    )
                    if name == "scan":
                        got.append((scan.source, scan.text))
                except ScannerMissing:
                    pass
                except ScanRefused as refused:
                    assert refused.cause == "cut"
        for source in range(2):
            left = iter(text for where, text in sent if where == source)
            assert all(text in left for where, text in got if where == source)  # in order
        assert got

    run(main())


@pytest.mark.parametrize("seed", range(6))
def test_noise_between_scans_and_swipes_is_refused_and_the_next_counts(seed: int) -> None:
    async def main() -> None:
        draw = random.Random(seed)
        chip = SerialLine(_now_us())
        scanner = LineScanner(SerialLines(WireSerial(Seat(chip), "scanner", 9600), MOST))
        other = SerialLine(_now_us())
        stripe = LineStripe(SerialLines(WireSerial(Seat(other), "swipe", 9600), TRACKS))
        for _ in range(8):
            noise = draw.randbytes(draw.choice((1, 3, 60, 300, 5000)))
            chip.feed(noise + b"\r")
            other.feed(noise + b"\r")
            chip.feed(b"whole\r")
            other.feed(ALL.encode() + b"\r")
            while True:
                try:
                    scan = await aio.deadline(20_000, scanner.read(), "scan")
                    if scan.text == "whole":
                        break
                except ScannerError:
                    pass
            while True:
                try:
                    swipe = await aio.deadline(20_000, stripe.read(), "swipe")
                    assert swipe.track2 == TRACK2.encode()
                    break
                except StripeError:
                    pass

    run(main())


class Flood(PolledSerial):
    """A line on which a byte always waits."""

    def __init__(self, byte: bytes) -> None:
        self.byte = byte
        self.reads = 0

    def _take(self, most: int) -> bytes:
        self.reads += 1
        assert self.reads < 100_000, "nothing else ever had its turn"
        return self.byte * most

    def drop_input(self) -> None:
        pass


@pytest.mark.parametrize("byte", [b"7", b"\0", b"\xff", b"\r"])
def test_a_line_that_never_stops_holds_up_nobody_else(byte: bytes) -> None:
    async def main() -> None:
        ticks = 0

        async def others() -> None:
            nonlocal ticks
            while True:
                await aio.sleep_ms(0)
                ticks += 1

        task = aio.spawn("others", others())
        for reader in (
            LineScanner(SerialLines(Flood(byte), MOST)),
            LineStripe(SerialLines(Flood(byte), TRACKS)),
        ):
            reading = aio.spawn("read", reader.read())
            for _ in range(50):
                await aio.sleep_ms(0)
            reading.cancel()
            await reading.done.wait()
            assert reading.error is None or isinstance(reading.error, (ScanRefused, BadSwipe))
        assert ticks > 50
        task.cancel()

    run(main())


@pytest.mark.parametrize("kind", ["serial", "keys"])
def test_a_line_without_an_end_is_named_at_once_and_its_rest_passed_over(kind: str) -> None:
    async def main() -> None:
        line, keys = SerialLine(_now_us()), HidKeys(_now_us(), pace_us=100)
        if kind == "serial":
            reader = LineScanner(SerialLines(WireSerial(Seat(line), "scanner", 115200), MOST))
        else:
            reader = LineScanner(KeyLines(WireInput(Seat(keys), "scanner"), MOST))

        def send(text: str) -> None:
            if kind == "serial":
                line.feed(text.encode())
            else:
                keys.type(text)

        async def babble() -> None:
            while True:
                send("7" * 100)
                await aio.sleep_ms(50)

        for _ in range(2):
            babbling = aio.spawn("babble", babble())
            with pytest.raises(ScanRefused) as caught:
                await aio.deadline(5_000, reader.read(), "the word that a line is too long")
            assert caught.value.cause == "long"
            name, _ = await aio.first(("read", reader.read()), timeout_ms=3_000)
            assert name == "timeout"  # told once
            babbling.cancel()
            await babbling.done.wait()
            name, _ = await aio.first(("read", reader.read()), timeout_ms=1_000)
            assert name == "timeout"  # it fell silent, and what comes next is another one
        send("7" * (MOST + 10) + "\n" + "whole\n")
        with pytest.raises(ScanRefused):
            await reader.read()
        assert (await reader.read()).text == "whole"

    run(main())


@pytest.mark.parametrize("after", range(0, 700, 29))
def test_a_keyboard_that_goes_and_comes_back_at_once_ends_pin_entry(after: int) -> None:
    """Whatever is typed on before the terminal looks: no PIN of two parts is ever kept."""

    async def main() -> None:
        chip = HidKeys(_now_us(), sources=2)
        keypad, store = KeyDevice(WireInput(Seat(chip), "keys"), CODES), PinStore()
        pad, keys = PinPad(keypad, store), BlockFingers(chip)
        entry = aio.spawn("pin", pad.enter(lambda count: None))
        keys.type("1234567", hold_us=50_000, gap_us=50_000)
        await aio.sleep_ms(after)
        chip.unplug()
        chip.plug()
        keys.type(["8", "9", "enter"], hold_us=1000, gap_us=1000)
        with pytest.raises(KeypadError):
            await entry.join()
        assert store._pins == []

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_a_keypads_wire_that_lies_is_named_and_pin_entry_keeps_nothing(seed: int) -> None:
    async def main() -> None:
        draw = random.Random(seed)
        chip = HidKeys(_now_us())
        seat = Seat(chip)
        keypad, store = KeyDevice(WireInput(seat, "keys"), CODES), PinStore()
        pad, keys = PinPad(keypad, store), BlockFingers(chip)
        whole = seat.transfer

        def broken(bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
            if draw.random() < 0.5:
                raise BusError("no wire")
            return draw.randbytes(draw.randrange(1, 4)), 0

        for _ in range(5):
            entry = aio.spawn("pin", pad.enter(lambda count: None))
            keys.type("123")
            await aio.sleep_ms(draw.randrange(600))
            seat.transfer = broken  # type: ignore[method-assign]
            with pytest.raises(KeypadError):
                await aio.deadline(5_000, entry.join(), "the end of PIN entry")
            assert store._pins == []
            seat.transfer = whole  # type: ignore[method-assign]
            await aio.sleep_ms(3000)
            keypad.flush()
            keys.tap("7")
            assert await keypad.read() == "7"

    run(main())
