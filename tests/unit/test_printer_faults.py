"""The ESC/POS driver on lines that lie, lose, stall, babble and break, at every transfer."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from firmware import aio
from firmware.buses.net_port import NetPort
from firmware.buses.raw_net import RawConnection, RawNet
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireSerial
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.hal.printer import PrinterError, PrinterForeign, PrinterMissing
from firmware.services import doctor
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run

LINES: list[tuple[object, ...]] = [("text", f"line {i} 第{i}行", "") for i in range(40)]
PAPER = [line for _, line, _ in LINES]
#: No document of this length takes longer, whatever its line does.
BOUND_MS = 90_000

Fault = Callable[["Line", int, bytes], "bytes | None"]


class Line(Wire):
    """A printer behind a cable with a fault: ``fault(line, op, payload)`` gives the answer
    of a transfer, None for the printer's own, or raises BusError."""

    def __init__(self, rack: Rack, fault: Fault, seed: int) -> None:
        self.rack = rack
        self.fault: Fault | None = fault
        self.draw = random.Random(seed)
        self.count = 0

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        self.count += 1
        answer = self.fault(self, op, payload) if self.fault else None
        return self.rack.transfer(bus, op, payload) if answer is None else (answer, 0)

    def whole(self, op: int, payload: bytes) -> bytes:
        """The printer's own answer."""
        return self.rack.transfer("printer", op, payload)[0]


def _noise(line: Line, op: int, payload: bytes) -> bytes | None:
    """Bytes that nobody sent, among the answers."""
    if op == 2 and line.draw.random() < 0.05:
        return line.draw.randbytes(line.draw.randint(1, 3)) + line.whole(op, payload)
    return None


def _deaf(line: Line, op: int, payload: bytes) -> bytes | None:
    """Answers that are lost."""
    return b"" if op == 2 and line.whole(op, payload) and line.draw.random() < 0.2 else None


def _holes(line: Line, op: int, payload: bytes) -> bytes | None:
    """Bytes that do not reach the printer."""
    if op == 1 and line.draw.random() < 0.2:
        at = line.draw.randrange(len(payload))
        line.whole(op, payload[:at] + payload[at + 1 :])
        return len(payload).to_bytes(2, "big")
    return None


def _flood(line: Line, op: int, payload: bytes) -> bytes | None:
    """A line that never stops talking."""
    return line.draw.randbytes(64) if op == 2 and line.count > 30 else None


def _same(line: Line, op: int, payload: bytes) -> bytes | None:
    """A line that says the same for ever, which is a valid answer and no mark."""
    return b"\x12" * 64 if op == 2 and line.count > 30 else None


def _full(line: Line, op: int, payload: bytes) -> bytes | None:
    """A line that takes nothing any more."""
    return b"\0\0" if op == 1 and line.count > 30 else None


def _trickle(line: Line, op: int, payload: bytes) -> bytes | None:
    """A line that takes a byte at a time."""
    return line.whole(op, payload[:1]) if op == 1 else None


def _nonsense(line: Line, op: int, payload: bytes) -> bytes | None:
    """Answers of the wrong length."""
    return line.draw.randbytes(line.draw.randint(0, 5)) if op == 1 and line.count > 30 else None


FAULTS = [_noise, _deaf, _holes, _flood, _same, _full, _trickle, _nonsense]


async def _tried(printer: EscposPrinter) -> tuple[int, PrinterError | None]:
    """(items that are said to be on paper, error) of one document, which must end in time."""
    try:
        await aio.deadline(BOUND_MS, printer.print(LINES), "printing")
    except PrinterError as error:
        return error.done, error
    return len(LINES), None


async def _works_again(printer: EscposPrinter, rack: Rack) -> None:
    await aio.sleep_ms(60_000)  # what the line still held is out
    rack.printer.paper.tear()
    await printer.print([("text", "next", "")])
    assert rack.printer.paper.lines[-1] == "next"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_line_with_a_fault_ends_the_document_in_time_and_the_next_prints(
    fault: Fault, seed: int
) -> None:
    async def main() -> None:
        rack = rig.rack()
        line = Line(rack, fault, seed)
        printer = EscposPrinter(WireSerial(line, "printer", 115200), Profile())
        done, error = await _tried(printer)
        if fault in (_deaf, _full, _trickle, _nonsense):  # the others' answers may say anything
            assert rack.printer.paper.lines[:done] == PAPER[:done]
        if error is None and fault is not _noise:
            assert rack.printer.overruns == 0
        line.fault = None
        await _works_again(printer, rack)

    run(main())


def test_unplugged_at_any_transfer_what_is_said_to_be_on_paper_is() -> None:
    async def transfers() -> int:
        line = Line(rig.rack(), lambda *_: None, 0)
        await EscposPrinter(WireSerial(line, "printer", 115200), Profile()).print(LINES)
        return line.count

    async def main(after: int) -> None:
        def pulled(line: Line, op: int, payload: bytes) -> bytes | None:
            if line.count > after:
                raise BusError("unplugged")
            return None

        rack = rig.rack()
        line = Line(rack, pulled, 0)
        printer = EscposPrinter(WireSerial(line, "printer", 115200), Profile())
        done, error = await _tried(printer)
        assert isinstance(error, PrinterMissing)
        line.fault = None
        await aio.sleep_ms(20_000)
        assert rack.printer.paper.lines[:done] == PAPER[:done]
        await _works_again(printer, rack)

    count = run(transfers())
    for after in range(1, count, max(count // 60, 1)):
        run(main(after))


class Stalled(SerialPort):
    """A line whose far end holds it (RTS/CTS): each write waits a second for room."""

    baud = 115200

    async def write(self, data: bytes) -> int:
        await aio.sleep_ms(1000)
        return 0

    def drop_input(self) -> None:
        pass


def test_a_line_that_is_held_for_ever_is_named_in_time() -> None:
    async def main() -> None:
        printer = EscposPrinter(Stalled(), Profile(answers=False))
        with pytest.raises(PrinterMissing, match="takes nothing"):
            await aio.deadline(BOUND_MS, printer.print(LINES), "printing")

    run(main())


class Pipe(RawConnection):
    """A printer's connection whose write number ``last`` breaks or never ends."""

    def __init__(self, last: int, stalls: bool) -> None:
        self.last, self.stalls, self.writes = last, stalls, 0

    async def write(self, data: bytes) -> None:
        self.writes += 1
        if self.writes == self.last:
            if self.stalls:
                await aio.Event().wait()
            raise BusError("connection reset")

    def close(self) -> None:
        pass


class OnePipe(RawNet):
    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe

    async def connect(self, host: str, port: int) -> Pipe:
        return self.pipe


@pytest.mark.parametrize("stalls", [False, True])
def test_a_silent_network_printer_that_goes_at_any_part_did_not_print(stalls: bool) -> None:
    """At the last part too, whose fate no later one tells."""

    async def main(last: int) -> int:
        pipe = Pipe(last, stalls)
        printer = EscposPrinter(NetPort(OnePipe(pipe), "p"), Profile(answers=False))
        if last:
            with pytest.raises(PrinterMissing) as caught:
                await aio.deadline(BOUND_MS, printer.print(LINES), "printing")
            assert caught.value.done < len(LINES)
        else:
            await printer.print(LINES)
        return pipe.writes

    for last in range(1, run(main(0)) + 1):
        run(main(last))


class Service(RawConnection):
    """Something else on port 9100: what it says when it is connected, and when it is asked."""

    def __init__(self, greets: bytes, says: bytes, hangs_up: bool) -> None:
        self.waits, self.says, self.hangs_up = greets, says, hangs_up

    async def write(self, data: bytes) -> None:
        self.waits += self.says

    async def read(self, most: int) -> bytes:
        while not self.waits:
            if self.hangs_up:
                return b""
            await aio.sleep_ms(10)
        data, self.waits = self.waits[:most], self.waits[most:]
        return data

    def close(self) -> None:
        pass


class Serves(RawNet):
    def __init__(self, greets: bytes, says: bytes, hangs_up: bool) -> None:
        self.made = (greets, says, hangs_up)

    async def connect(self, host: str, port: int) -> Service:
        return Service(*self.made)


@pytest.mark.parametrize(
    ("greets", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"Invalid SSH identification string.\r\n"),
        (b"", b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n"),
        (b"220 files.shop FTP server ready\r\n", b"500 Unknown command\r\n"),
        (b"", b"\x15\x03\x01\x00\x02\x02\x46"),  # a TLS alert
        (b"", b"\xff\xff\x12"),  # of a line at another speed; a byte looks right
    ],
)
@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_service_that_is_no_printer_is_named(greets: bytes, says: bytes, hangs_up: bool) -> None:
    async def main() -> None:
        printer = EscposPrinter(NetPort(Serves(greets, says, hangs_up), "p"), Profile())
        with pytest.raises(PrinterForeign) as caught:
            await aio.deadline(5000, printer.status(), "the status")
        assert caught.value.text_key == "error.printer_foreign"
        assert doctor.advice(str(caught.value)) == "doctor.foreign"
        with pytest.raises(PrinterForeign):
            await aio.deadline(BOUND_MS, printer.print(LINES), "printing")

    run(main())


def test_noise_before_an_answer_is_asked_past() -> None:
    async def main() -> None:
        rack, noise = rig.rack(), [b"\xf1\x77"]

        def once(line: Line, op: int, payload: bytes) -> bytes | None:
            whole = line.whole(op, payload) if op == 2 else b""
            return noise.pop() + whole if whole and noise else whole or None

        printer = EscposPrinter(WireSerial(Line(rack, once, 0), "printer", 115200), Profile())
        rack.printer.paper_out = True
        assert (await printer.status()).paper_out and not noise

    run(main())
