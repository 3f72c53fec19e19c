"""A receipt through usblp to the virtual printer, which is a USB printer gadget here."""

from __future__ import annotations

import os
import random
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.usb_printer_linux import UsbPrinter
from firmware.buses.wire_bus import WireSerial
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.hal.printer import PaperOut, PrinterMissing
from host_tools.emulator.chips import escpos_printer
from tests.rig.guest.gadget import Gadget
from tests.rig.guest.waiting import Story, tell, until
from tests.support import rig, virtual_time

NODE, GADGET = Path("/dev/usb/lp0"), Path("/dev/g_printer0")
LIMIT_MS = 100_000
STORM, STORM_MS = 40, 1_150_000
LONG: list[tuple[object, ...]] = [("text", f"line {i} 第{i}行", "") for i in range(90)]


class UsbChip:
    """The printer's electronics: USB on one side, the virtual print head on the other."""

    def __init__(self) -> None:
        self._number = -1
        self._lock = threading.Lock()
        self._chip = escpos_printer.EscposPrinter(lambda: time.monotonic_ns() // 1000, baud=921600)
        self._late = b""
        self._stopping = threading.Event()
        #: A printer that takes no bytes: its USB side says "not now" without end.
        self.deaf = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="printer", daemon=True)
        self._thread.start()

    def __enter__(self) -> escpos_printer.EscposPrinter:
        self._lock.acquire()
        return self._chip

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def attach(self) -> None:
        """The USB side has power."""
        with self._lock:
            self._number = os.open(GADGET, os.O_RDWR | os.O_NONBLOCK)

    def detach(self) -> None:
        """The USB side has none."""
        with self._lock:
            if self._number >= 0:
                os.close(self._number)
            self._number = -1

    def _serve(self) -> None:
        while not self._stopping.wait(0.002):
            with self._lock:
                if self._number >= 0:
                    self._carry()

    def _carry(self) -> None:
        try:
            if not self.deaf.is_set() and select.select([self._number], [], [], 0)[0]:
                self._chip.transfer(1, os.read(self._number, 512))
            self._late += self._chip.transfer(2, (512).to_bytes(2, "big"))[0]
            if self._late:
                self._late = self._late[os.write(self._number, self._late) :]
        except BlockingIOError:
            pass  # the terminal has not fetched the last ones
        except OSError:
            self._late = b""  # unplugged: what was not fetched is lost

    def close(self) -> None:
        """Stop serving and let the gadget's end go."""
        self._stopping.set()
        self._thread.join()
        self.detach()


class Printer:
    """A plug and what is behind it."""

    def __init__(self) -> None:
        self.gadget = Gadget(["printer.0"])
        self.chip = UsbChip()

    def plug(self) -> None:
        self.gadget.plug()
        until(NODE.exists, "the printer's node")
        self.chip.attach()  # there is no printer before the terminal has chosen it

    def unplug(self) -> None:
        """Pull it out at any moment of what the terminal sends. Not of what the printer sends:
        the printer gadget of Linux 6.1 loses its list of requests, and the guest's kernel
        itself, when it is taken away while its own side is in a write."""
        with self.chip:
            self.gadget.unplug()
        self.chip.detach()

    def close(self) -> None:
        self.chip.close()
        self.gadget.close()


@pytest.fixture
def usb(need: Callable[..., None]) -> Iterator[Printer]:
    need("dummy_hcd", "libcomposite", "usb_f_printer", "usblp")
    usb = Printer()
    try:
        usb.plug()
        yield usb
    finally:
        usb.close()


def driver() -> EscposPrinter:
    return EscposPrinter(UsbPrinter(str(NODE)), Profile())


def run(story: Callable[[], Story], limit_ms: int = LIMIT_MS) -> None:
    async def main() -> None:
        await aio.deadline(limit_ms, story(), "the story")

    aio.run(main())


def paper_by_wire() -> list[int]:
    """The same document by the virtual handheld's serial printer, as rows of dots."""
    rows: list[int] = []

    async def story() -> None:
        rack = rig.rack()
        await EscposPrinter(WireSerial(rack, "printer", 115200), Profile()).print(rig.DOCUMENT)
        rows.extend(rack.printer.paper.rows)

    virtual_time.run(story())
    return rows


def test_a_receipt_comes_out_dot_by_dot(usb: Printer) -> None:
    expected = paper_by_wire()
    assert len(expected) > 500

    async def story() -> None:
        printer = driver()
        await printer.print(rig.DOCUMENT)
        with usb.chip as chip:
            assert chip.paper.rows == expected
            assert chip.overruns == 0 and chip.head.unknown == []

    run(story)


def test_paper_and_cover_are_seen_and_the_roll_ends_by_name(usb: Printer) -> None:
    async def story() -> None:
        printer = driver()
        for switch in ("paper_out", "cover_open", "paper_low"):
            with usb.chip as chip:
                setattr(chip, switch, True)
            assert getattr(await printer.status(), switch)
            with usb.chip as chip:
                setattr(chip, switch, False)
            assert not getattr(await printer.status(), switch)
        with usb.chip as chip:
            chip.rows_left = 50 * 30
        with pytest.raises(PaperOut) as ended:
            await printer.print(LONG)
        with usb.chip as chip:
            printed = len(chip.paper.tear().lines)
            chip.rows_left, chip.paper_out = None, False
        assert 0 < ended.value.done <= printed < len(LONG)
        await printer.print([("text", "again", "")])
        with usb.chip as chip:
            assert chip.text() == "again"

    run(story)


def test_a_plug_pulled_in_mid_receipt_is_named_and_the_next_receipt_is_whole(usb: Printer) -> None:
    async def story() -> None:
        printer = driver()
        printing = aio.spawn("print", printer.print(LONG))
        while True:
            with usb.chip as chip:
                if len(chip.paper.lines) > 50:
                    break
            await aio.sleep_ms(10)
        usb.unplug()
        with pytest.raises(PrinterMissing) as missing:
            await printing.join()
        assert 0 < missing.value.done < len(LONG)
        with pytest.raises(PrinterMissing, match="/dev/usb/lp0"):
            await printer.status()
        usb.plug()
        with usb.chip as chip:
            chip.paper.tear()
        await printer.print([("text", "whole", "")])
        with usb.chip as chip:
            assert chip.paper.lines[-1] == "whole"

    run(story)


def test_a_printer_that_takes_nothing_is_missing_and_comes_back(usb: Printer) -> None:
    async def story() -> None:
        printer = driver()
        usb.chip.deaf.set()
        with pytest.raises(PrinterMissing):
            await printer.print(LONG)
        usb.chip.deaf.clear()
        await aio.sleep_ms(500)
        with usb.chip as chip:
            chip.paper.tear()
        await printer.print([("text", "back", "")])
        with usb.chip as chip:
            assert chip.paper.lines[-1] == "back"

    run(story)


def test_two_programs_do_not_share_a_printer(usb: Printer) -> None:
    async def story() -> None:
        other = os.open(NODE, os.O_RDWR)
        with pytest.raises(PrinterMissing, match="busy"):
            await driver().status()
        os.close(other)
        await driver().status()

    run(story)


@pytest.mark.soak
def test_a_storm_of_replugs(usb: Printer) -> None:
    """At any moment of a receipt: it breaks off by name, no line of it comes twice, and the next
    receipt after the plug is back is whole."""
    draw = random.Random(1)

    async def story() -> None:
        printer = driver()
        for number in range(1, STORM + 1):
            printing = aio.spawn("print", printer.print(LONG))
            await aio.sleep_ms(draw.randrange(1500))
            usb.unplug()
            with pytest.raises(PrinterMissing) as missing:
                await printing.join()
            with usb.chip as chip:
                lines = [line for line in chip.paper.tear().lines if line.startswith("line ")]
            assert len(lines) == len(set(lines)) >= missing.value.done
            usb.plug()
            await printer.print([("text", f"whole {number}", "")])
            with usb.chip as chip:
                assert chip.paper.tear().lines[-1] == f"whole {number}"
            if number % 10 == 0:
                tell(f"{number} re-plugs of the printer")

    run(story, STORM_MS)
