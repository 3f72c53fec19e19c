"""Conformance of hal.scanner: what every scanner driver must do."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pytest

from firmware import aio
from firmware.buses.input_events import InputEvents
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import Wire
from firmware.buses.wire_bus import WireSerial
from firmware.buses.wire_input import WireInput
from firmware.drivers.key_lines import KeyLines
from firmware.drivers.line_scanner import MOST, LineScanner
from firmware.drivers.lines import SerialLines
from firmware.hal.scanner import LONGEST, Scanner, ScannerMissing, ScanRefused
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.hid_keys import HidKeys
from host_tools.emulator.chips.serial_line import SerialLine
from tests.conformance.conftest import Nodes
from tests.support import virtual_time
from tests.support.virtual_time import VirtualLoop

run = partial(virtual_time.run, descriptors=True)


class Seat(Wire):
    """One chip on a wire."""

    def __init__(self, chip: SerialLine | HidKeys) -> None:
        self.chip = chip

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        from firmware.buses.wire import BusError

        try:
            return self.chip.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from None


class Gun(Protocol):
    """The hand that holds the scanner."""

    def scan(self, text: str) -> None: ...

    def unplug(self) -> None: ...

    def plug(self) -> None: ...


class SerialGun:
    def __init__(self, chip: SerialLine, end: str) -> None:
        self.chip, self.end = chip, end

    def scan(self, text: str) -> None:
        self.chip.feed((text + self.end).encode())

    def unplug(self) -> None:
        self.chip.unplugged = True

    def plug(self) -> None:
        self.chip.unplugged = False


class KeyGun:
    def __init__(self, chip: HidKeys, end: str) -> None:
        self.chip, self.end = chip, end

    def scan(self, text: str) -> None:
        self.chip.type(text + self.end.replace("\r", ""))

    def unplug(self) -> None:
        self.chip.unplug()

    def plug(self) -> None:
        self.chip.plug()


def _now_us() -> Callable[[], int]:
    loop = asyncio.get_running_loop()
    return lambda: int(loop.time() * 1_000_000)


def serial(aim: bool = False, suffix: str = "enter", end: str = "\r\n") -> tuple[Scanner, Gun]:
    chip = SerialLine(_now_us())
    lines = SerialLines(WireSerial(Seat(chip), "scanner", 9600), MOST, suffix)
    return LineScanner(lines, aim), SerialGun(chip, end)


def keys(aim: bool = False, suffix: str = "enter", end: str = "\n") -> tuple[Scanner, Gun]:
    chip = HidKeys(_now_us())
    lines = KeyLines(WireInput(Seat(chip), "scanner"), MOST, suffix)
    return LineScanner(lines, aim), KeyGun(chip, end)


def evdev(
    nodes: Nodes, aim: bool = False, suffix: str = "enter", end: str = "\n"
) -> tuple[Scanner, Gun]:
    chip = HidKeys(_now_us())
    return LineScanner(KeyLines(nodes(chip), MOST, suffix), aim), KeyGun(chip, end)


Make = Callable[..., tuple[Scanner, Gun]]


@pytest.fixture(params=[serial, keys, evdev], ids=["serial", "keys", "evdev"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return partial(made, request.getfixturevalue("nodes")) if made is evdev else made


async def _nothing(scanner: Scanner, ms: int) -> None:
    name, _ = await aio.first(("scan", scanner.read()), timeout_ms=ms)
    assert name == "timeout"


TEXTS = [
    "6901234567892",
    "130123456789012345",  # a payer's code
    "https://opentill.example/r?a=1&b=2#Z~",
    "(01)09506000134352",
    "010950600013435210AB\x1d21ser",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}",
    "x",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("suffix", "end"), [("enter", "\r\n"), ("tab", "\t"), ("none", "")])
def test_a_text_arrives_once_and_whole(make: Make, text: str, suffix: str, end: str) -> None:
    async def main() -> None:
        scanner, gun = make(suffix=suffix, end=end)
        gun.scan(text)
        scan = await scanner.read()
        assert (scan.text, scan.symbology, scan.source) == (text, "", 0)
        await _nothing(scanner, 2000)

    run(main())


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\n\r"])
def test_any_line_end_ends_a_line_and_none_makes_an_empty_one(end: str) -> None:
    async def main() -> None:
        scanner, gun = serial(end=end)
        gun.scan("one")
        gun.scan("two")
        assert [(await scanner.read()).text for _ in range(2)] == ["one", "two"]
        await _nothing(scanner, 1000)

    run(main())


@pytest.mark.parametrize(
    ("sent", "symbology", "text"),
    [
        ("]E06901234567892", "ean13", "6901234567892"),
        ("]E496385074", "ean8", "96385074"),
        ("]E0036000291452", "upca", "036000291452"),
        ("]E004252614", "upce", "04252614"),
        ("]E3690123456789212", "ean13", "690123456789212"),
        ("]C1010950600013435210AB", "gs1_128", "010950600013435210AB"),
        ("]C0ABC", "code128", "ABC"),
        ("]A0ABC", "code39", "ABC"),
        ("]I115400141288763", "itf", "15400141288763"),
        ("]Q1weixin://x", "qr", "weixin://x"),
        ("]Q30109506000134352", "gs1_qr", "0109506000134352"),
        ("]d20109506000134352", "gs1_datamatrix", "0109506000134352"),
        ("]L0text", "pdf417", "text"),
        ("]X0text", "other", "text"),
    ],
)
def test_the_symbology_is_what_the_scanner_said(
    make: Make, sent: str, symbology: str, text: str
) -> None:
    async def main() -> None:
        scanner, gun = make(aim=True)
        gun.scan(sent)
        scan = await scanner.read()
        assert (scan.symbology, scan.text) == (symbology, text)

    run(main())


@pytest.mark.parametrize(
    "sent",
    ["]E06901234567891", "]E496385075", "]E0036000291453", "]E004252615", "]E069012345", "]E1x",
     "6901234567892", "]", "]E0", "]I115400141288764"],
)  # fmt: skip
def test_a_misread_code_is_refused_and_the_next_one_counts(make: Make, sent: str) -> None:
    async def main() -> None:
        scanner, gun = make(aim=True)
        gun.scan(sent)
        gun.scan("]C0next")
        with pytest.raises(ScanRefused) as caught:
            await scanner.read()
        assert caught.value.cause == "check"
        assert (await scanner.read()).text == "next"

    run(main())


def test_the_longest_text_passes_and_a_longer_one_is_refused(make: Make) -> None:
    async def main() -> None:
        scanner, gun = make()
        if isinstance(gun, KeyGun):
            gun.chip.pace_us = 50
        gun.scan("7" * LONGEST)
        assert (await scanner.read()).text == "7" * LONGEST
        gun.scan("8" * (LONGEST + 50))
        gun.scan("next")
        with pytest.raises(ScanRefused) as caught:
            await scanner.read()
        assert caught.value.cause == "long"
        assert (await scanner.read()).text == "next"

    run(main())


def test_a_code_that_stops_in_the_middle_is_cut(make: Make) -> None:
    async def main() -> None:
        scanner, gun = make(end="")
        gun.scan("69012")
        with pytest.raises(ScanRefused) as caught:
            await scanner.read()
        assert caught.value.cause == "cut"
        await _nothing(scanner, 1000)

    run(main())


class Held:
    """A device whose next bytes are there, and whose reader needs a few turns to see them,
    as a thread's or a descriptor's does."""

    def __init__(self, *parts: object) -> None:
        self.parts = list(parts)
        self.there = aio.Event()
        self.there.set()

    async def wait(self) -> object:
        await self.there.wait()
        for _ in range(5):
            await aio.sleep_ms(0)
        part = self.parts.pop(0)
        self.there.clear()
        return part


class HeldPort(SerialPort):
    def __init__(self, held: Held) -> None:
        self.held = held

    async def read(self, most: int, timeout_ms: int | None = None) -> bytes:
        name, part = await aio.first(("data", self.held.wait()), timeout_ms=timeout_ms)
        return part if name == "data" else b""


class HeldKeys(InputEvents):
    def __init__(self, held: Held) -> None:
        self.held = held

    async def read(self) -> list[tuple[int, int, int]]:
        part = await self.held.wait()
        assert isinstance(part, list)
        return part


@pytest.mark.parametrize("kind", ["serial", "keys"])
def test_a_loop_that_was_held_up_does_not_cut_a_code(kind: str) -> None:
    """Something else took the processor while the rest of the code came in."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        one, two, end = ((0, 2, 1), (0, 2, 0)), ((0, 3, 1), (0, 3, 0)), ((0, 28, 1),)
        if kind == "serial":
            held = Held(b"1", b"2\r")
            scanner = LineScanner(SerialLines(HeldPort(held), MOST))
        else:
            held = Held(list(one), [*two, *end])
            scanner = LineScanner(KeyLines(HeldKeys(held), MOST))
        reading = aio.spawn("scan", scanner.read())
        await aio.sleep_ms(100)
        loop.call_later(0.1, held.there.set)
        loop.advance(1.0)
        assert (await reading.join()).text == "12"

    run(main())


def test_a_cancelled_read_loses_nothing(make: Make) -> None:
    async def main() -> None:
        for step in range(1, 40, 3):
            scanner, gun = make()
            gun.scan("6901234567892")
            name = "timeout"
            while name == "timeout":
                name, scan = await aio.first(("scan", scanner.read()), timeout_ms=step)
            assert scan.text == "6901234567892"

    run(main())


def test_scans_wait_for_a_reader_and_flush_forgets_them(make: Make) -> None:
    async def main() -> None:
        scanner, gun = make()
        gun.scan("one")
        gun.scan("two")
        await aio.sleep_ms(1000)
        assert (await scanner.read()).text == "one"
        scanner.flush()
        gun.scan("three")
        assert (await scanner.read()).text == "three"

    run(main())


def test_flush_forgets_a_code_that_is_arriving(make: Make) -> None:
    async def main() -> None:
        scanner, gun = make()
        gun.scan("12345678901234567890")
        await _nothing(scanner, 8)
        await aio.sleep_ms(1000)
        scanner.flush()
        gun.scan("Abc")
        assert (await scanner.read()).text == "Abc"

    run(main())


@pytest.mark.parametrize("read_ms", [0, 8])
@pytest.mark.parametrize("later_ms", [0, 3000])
def test_a_flush_in_mid_scan_lets_no_part_of_it_begin_the_next(
    make: Make, read_ms: int, later_ms: int
) -> None:
    """Wherever the flush falls, also when the reader comes back only after a while."""

    async def main() -> None:
        code = "AB345678901234567890"
        for after_ms in range(0, 60, 3):
            scanner, gun = make()
            gun.scan(code)
            if read_ms:
                await _nothing(scanner, min(read_ms, after_ms))
            await aio.sleep_ms(after_ms)
            scanner.flush()
            await aio.sleep_ms(later_ms)
            gun.scan("Next")
            # A flush before its first character came is before all of it.
            said = [(await scanner.read()).text]
            if said == [code]:
                said = [(await scanner.read()).text]
            assert said == ["Next"]
            await _nothing(scanner, 1000)

    run(main())


def test_a_flush_in_a_scan_that_never_ends_costs_no_later_one(make: Make) -> None:
    async def main() -> None:
        scanner, gun = make()
        gun.scan("12345678901234567890")
        await _nothing(scanner, 8)
        scanner.flush()
        gun.unplug()
        with pytest.raises(ScannerMissing):
            await scanner.read()
        gun.plug()
        await _nothing(scanner, 1000)
        gun.scan("Next")
        assert (await scanner.read()).text == "Next"

    run(main())


def test_unplugging_is_named_once_and_plugging_in_brings_it_back(make: Make) -> None:
    async def main() -> None:
        scanner, gun = make()
        gun.scan("12345678901234567890")
        await _nothing(scanner, 8)
        gun.unplug()
        with pytest.raises(ScannerMissing):
            await scanner.read()
        await _nothing(scanner, 5000)
        gun.plug()
        await aio.sleep_ms(1000)
        scanner.flush()
        gun.scan("back")
        assert (await scanner.read()).text == "back"

    run(main())


@pytest.mark.parametrize("noise", [b"\xff\xfe", b"\x00", b"\x1b[A", b"a\x08b", b"\xc2\x80"])
def test_noise_on_the_serial_line_is_refused(noise: bytes) -> None:
    async def main() -> None:
        scanner, gun = serial()
        assert isinstance(gun, SerialGun)
        gun.chip.feed(noise + b"\r\nnext\r\n")
        with pytest.raises(ScanRefused) as caught:
            await scanner.read()
        assert caught.value.cause == "text"
        assert (await scanner.read()).text == "next"

    run(main())


def test_a_prefix_is_taken_off_and_a_line_without_it_refused() -> None:
    async def main() -> None:
        chip = SerialLine(_now_us())
        lines = SerialLines(WireSerial(Seat(chip), "scanner", 9600), MOST, "enter", b"\x02#")
        scanner = LineScanner(lines)
        chip.feed(b"\x02#one\r" + b"#two\r" + b"\x02#\r" + b"\x02#three\r")
        assert (await scanner.read()).text == "one"
        for _ in range(2):
            with pytest.raises(ScanRefused) as caught:
                await scanner.read()
            assert caught.value.cause == "cut"
        assert (await scanner.read()).text == "three"

    run(main())


def test_two_scanners_at_once_do_not_mix() -> None:
    async def main() -> None:
        chip = HidKeys(_now_us(), sources=2)
        scanner = LineScanner(KeyLines(WireInput(Seat(chip), "scanner"), MOST))
        chip.type("Left-1234567890\n", source=0)
        chip.type("RIGHT:abcdefghij\n", source=1)
        got = [await scanner.read() for _ in range(2)]
        assert sorted((scan.source, scan.text) for scan in got) == [
            (0, "Left-1234567890"),
            (1, "RIGHT:abcdefghij"),
        ]
        chip.type("half", source=0)
        chip.type("whole\n", source=1)
        chip.unplug(source=0)
        with pytest.raises(ScannerMissing):
            await scanner.read()
        scan = await scanner.read()
        assert (scan.source, scan.text) == (1, "whole")

    run(main())


def test_layouts_shift_and_keys_that_nobody_knows() -> None:
    async def main() -> None:
        chip = HidKeys(_now_us())
        lines = KeyLines(WireInput(Seat(chip), "scanner"), MOST, layout="de")
        scanner = LineScanner(lines)
        chip.type("yz;:\n")  # the caps of a US keyboard on a terminal that expects a German one
        assert (await scanner.read()).text == "zyöÖ"
        chip.event(58, 1)  # Caps Lock
        chip.event(58, 0)
        chip.type("aB1\n")
        assert (await scanner.read()).text == "Ab1"
        for wrong in (59, 102):  # F1, Home
            chip.type("a")
            chip.press(wrong)
            chip.type("b\n")
            with pytest.raises(ScanRefused) as caught:
                await scanner.read()
            assert caught.value.cause == "keys"
        chip.event(56, 1)  # Alt
        chip.type("1")
        chip.event(56, 0)
        chip.type("\n")
        with pytest.raises(ScanRefused):
            await scanner.read()
        for block in (79, 80, 81, 96):  # 1 2 3 Enter of the numeric block
            chip.press(block)
        assert (await scanner.read()).text == "123"
        with pytest.raises(ValueError, match="no key layout"):
            KeyLines(WireInput(Seat(chip), "scanner"), MOST, layout="dvorak")
        with pytest.raises(ValueError, match="no suffix"):
            KeyLines(WireInput(Seat(chip), "scanner"), MOST, suffix="etx")

    run(main())


def test_closing_twice_is_harmless(make: Make) -> None:
    async def main() -> None:
        scanner, _ = make()
        await scanner.close()
        await scanner.close()

    run(main())


def test_a_check_finds_it_there_or_not_and_loses_nothing(make: Make) -> None:
    async def main() -> None:
        scanner, gun = make()
        await scanner.check()
        gun.scan("next")
        await aio.sleep_ms(100)
        await scanner.check()
        await scanner.check()
        assert (await scanner.read()).text == "next"
        gun.unplug()
        await aio.sleep_ms(10)
        for _ in range(2):
            with pytest.raises(ScannerMissing):
                await scanner.check()
        gun.plug()
        await aio.sleep_ms(1000)
        await scanner.check()

    run(main())
