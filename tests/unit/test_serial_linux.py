"""The Linux serial port and printer node on pseudo-terminals and on what is neither."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.buses.serial_linux import LinuxSerial
from firmware.buses.usb_printer_linux import UsbPrinter
from firmware.buses.wire import BusError
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.hal.printer import PrinterMissing


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    aio.run(aio.deadline(60000, main(), "the test"))


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """The far end of a serial line, and the path of the near one."""
    far, near = os.openpty()
    tty.setraw(near)
    os.set_blocking(far, False)
    yield far, os.ttyname(near)
    os.close(near)
    os.close(far)


def _taken(far: int) -> bytes:
    got = b""
    while True:
        try:
            got += os.read(far, 65536)
        except BlockingIOError:
            return got


def test_a_line_that_stalls_takes_each_byte_once(line: tuple[int, str]) -> None:
    """What a full port took is counted, or it would be sent twice."""

    async def main() -> None:
        far, path = line
        port = LinuxSerial(path, 115200)
        sent = bytes(i * 7 & 0xFF for i in range(30000))
        got, at, stalls = b"", 0, 0
        while at < len(sent):
            taken = await port.write(sent[at:])
            at += taken
            if not taken:  # nobody reads: the line holds as much as it can
                stalls += 1
                got += _taken(far)
        while len(got) < len(sent):
            got += _taken(far)
            await aio.sleep_ms(1)
        assert stalls
        assert got == sent
        await port.close()

    run(main)


def test_a_byte_that_comes_while_others_are_taken_is_kept(line: tuple[int, str]) -> None:
    class Busy(bytearray):
        """The reading thread adds a byte between the two looks of ``read``."""

        def __getitem__(self, place: Any) -> Any:
            part = super().__getitem__(place)
            if self == b"first":
                self.extend(b"!")
            return part

    async def main() -> None:
        port = LinuxSerial(line[1], 115200)
        port._got = Busy(b"first")
        assert await port.read(64) == b"first"
        assert await port.read(64) == b"!"
        await port.close()

    run(main)


def test_what_has_come_is_taken_without_waiting(line: tuple[int, str]) -> None:
    """Also beside a read that waits for the same bytes, which then waits on."""

    async def main() -> None:
        far, path = line
        port = LinuxSerial(path, 115200)
        assert port.take_input(64) == b""
        os.write(far, b"half a scan")
        assert port.take_input(4) == b"half" and port.take_input(64) == b" a scan"
        assert port.take_input(64) == b""
        for _ in range(50):
            reading = aio.spawn("read", port.read(64))
            await aio.sleep_ms(1)
            os.write(far, b"1")
            taken = port.take_input(64)
            os.write(far, b"2")
            taken += await aio.deadline(5000, reading.join(), "what is left")
            if not taken.endswith(b"2"):
                taken += await aio.deadline(5000, port.read(64), "the last byte")
            assert taken == b"12"
        await port.close()

    run(main)


def test_a_read_that_begins_while_what_has_come_is_taken_finds_none(
    line: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees bytes, and before it has them ``take_input`` does: no sign of a lost port."""
    far, path = line
    port = LinuxSerial(path, 115200)
    real, lost = os.read, []
    saw, gone = threading.Event(), threading.Event()

    def waiting() -> None:
        try:
            port._read(64)
        except Exception as error:  # noqa: BLE001
            lost.append(error)

    reader = threading.Thread(target=waiting)

    def read(descriptor: int, most: int) -> bytes:
        if threading.current_thread() is reader:
            saw.set()
            assert gone.wait(10)
            return real(descriptor, most)
        reader.start()
        assert saw.wait(10)
        data = real(descriptor, most)
        gone.set()
        reader.join(10)
        return data

    os.write(far, b"scan")
    monkeypatch.setattr(os, "read", read)
    assert port.take_input(64) == b"scan"
    monkeypatch.undo()
    assert lost == [] and not reader.is_alive()
    run(port.close)


def test_a_hung_up_line_is_named_and_found_again(tmp_path: Path) -> None:
    async def main() -> None:
        far, near = os.openpty()
        tty.setraw(near)
        path = tmp_path / "tty"
        path.symlink_to(os.ttyname(near))
        port = LinuxSerial(str(path), 115200)
        os.close(near)
        os.close(far)
        with pytest.raises(BusError, match="serial port"):
            for _ in range(20):
                await port.write(b"x" * 4096)
        with pytest.raises(BusError, match="serial port"):
            await port.read(1, 100)
        path.unlink()
        far, near = os.openpty()
        tty.setraw(near)
        path.symlink_to(os.ttyname(near))
        assert await port.write(b"again") == 5
        assert os.read(far, 16) == b"again"
        await port.close()
        await port.close()
        os.close(near)
        os.close(far)

    run(main)


@pytest.mark.parametrize("what", ["file", "null", "folder"])
def test_a_printers_path_that_is_no_printer_is_named(what: str, tmp_path: Path) -> None:
    """A file that somebody's redirection made while the printer was off, and the like."""
    path = {"file": tmp_path / "lp0", "null": Path("/dev/null"), "folder": tmp_path}[what]
    if what == "file":
        path.write_bytes(b"left over")

    async def main() -> None:
        for answers in (True,) if what == "null" else (True, False):
            printer = EscposPrinter(UsbPrinter(str(path)), Profile(answers=answers))
            with pytest.raises(PrinterMissing):
                await printer.print([("text", "x" * 300, "")])
        printer = EscposPrinter(UsbPrinter(str(path)), Profile())
        with pytest.raises(PrinterMissing):
            await printer.status()

    run(main)
    if what == "file":
        assert path.read_bytes() == b"left over"
