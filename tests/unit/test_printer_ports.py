"""The ESC/POS driver over real TCP sockets, on the real clock."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from firmware import aio
from firmware.buses.net_port import NetPort
from firmware.buses.tcp_linux import TcpLinux
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.hal.printer import PaperOut, PrinterMissing
from host_tools.emulator.chips.escpos_printer import EscposPrinter as Chip

LINES = [("text", f"line {i} 第{i}行", "") for i in range(60)]
PAPER = [line for _, line, _ in LINES]


def chip() -> Chip:
    """A fast printer on the real clock."""
    return Chip(lambda: time.monotonic_ns() // 1000, baud=921600, rows_per_s=20_000)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    aio.run(aio.deadline(30000, main(), "the test"))


class Far:
    """Carries bytes between a descriptor and a chip until it is closed."""

    def __init__(self, printer: Chip, number: int, least: int = 0) -> None:
        self.printer = printer
        self.least = least
        self.taken = 0
        self._number = number
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        os.set_blocking(self._number, False)
        while not self._stop.is_set():
            try:
                data = os.read(self._number, 4096)
                if not data:
                    break
                self.taken += len(data)
                self.printer.transfer(1, data)
            except BlockingIOError:
                self._stop.wait(0.001)
            except OSError:
                break
            if self.least and self.taken >= self.least:
                break
            answer = self.printer.transfer(2, b"\x10\x00")[0]
            if answer:
                os.write(self._number, answer)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class Server:
    """A printer on port 9100 (any port here): one connection after another."""

    def __init__(self, printer: Chip, least: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._stop = False
        self.printer = printer
        #: Every connection is reset after so many bytes; 0 for none.
        self.least = least
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._stop:
                    return
                far = Far(self.printer, connection.fileno(), self.least)
                far._thread.join()

    def close(self) -> None:
        self._stop = True
        with socket.create_connection(("127.0.0.1", self.port)):
            self._thread.join()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(chip())
    yield made
    made.close()


def test_a_document_over_tcp(server: Server) -> None:
    async def main() -> None:
        printer = EscposPrinter(NetPort(TcpLinux(), "127.0.0.1", server.port), Profile())
        await printer.print(LINES)
        await printer.print([("text", "again", "")])
        assert server.printer.paper.lines == [*PAPER, "again"]
        server.printer.paper_out = True
        assert (await printer.status()).paper_out
        with pytest.raises(PaperOut):
            await printer.print(LINES)

    run(main)


def test_a_connection_that_is_reset_in_the_middle(server: Server) -> None:
    async def main() -> None:
        printer = EscposPrinter(NetPort(TcpLinux(), "127.0.0.1", server.port), Profile())
        server.least = 700
        with pytest.raises(PrinterMissing) as caught:
            await printer.print(LINES)
        assert caught.value.done < len(LINES)
        server.least = 0
        await printer.print([("text", "next", "")])
        assert server.printer.paper.lines[-1] == "next"

    run(main)


def test_a_port_that_refuses() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        printer = EscposPrinter(NetPort(TcpLinux(), "127.0.0.1", port), Profile())
        with pytest.raises(PrinterMissing, match=f"no connection to 127.0.0.1 port {port}"):
            await printer.print(LINES)

    run(main)
