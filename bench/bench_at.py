"""AT engine: lines a second out of a modem's bytes in memory, against pyserial's two ways to
read lines. Ours also tells answers, results and unsolicited codes apart; the peers split only.

The bytes are 400 exchanges of an EC25 with echo and unsolicited codes, in pieces of 64 bytes as
USB full speed delivers them. ``readline`` is the method that pyserial's ports inherit from
io.RawIOBase, one ``read`` a byte; ``LineReader`` is serial.threaded's protocol, fed as ours is.
"""

import io
import time
from collections.abc import Callable

from serial.threaded import LineReader

from firmware.drivers.at_engine import AtEngine, Command
from firmware.drivers.modem_scripts import URCS

#: Questions with what the modem sends for each.
EXCHANGES = (
    (Command(b"AT+CSQ", b"+CSQ:"), b"AT+CSQ\r\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (Command(b"AT+CPIN?", b"+CPIN:"), b"AT+CPIN?\r\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (
        Command(b"AT+CEREG?", b"+CEREG:", lambda line: b"," in line),
        b'AT+CEREG?\r\r\n+CEREG: 0,1\r\n\r\n+QIND: "csq",24,99\r\n\r\nOK\r\n',
    ),
    (
        Command(b"AT+QCSQ", b"+QCSQ:"),
        b'AT+QCSQ\r\r\n+QCSQ: "LTE",-52,-81,195,-10\r\n\r\nOK\r\n\r\nRING\r\n',
    ),
)
ROUNDS = 100
PIECE = 64


def lines(data: bytes) -> int:
    """Lines that are not empty."""
    return sum(1 for line in data.split(b"\n") if line.strip())


def ours() -> int:
    """The exchanges through the engine; the answers and codes that came out."""
    engine = AtEngine(URCS)
    found = 0
    for _ in range(ROUNDS):
        for command, data in EXCHANGES:
            engine.send(command)
            for at in range(0, len(data), PIECE):
                found += len(engine.feed(data[at : at + PIECE]))
    return found


class _Memory(io.RawIOBase):
    """A port of bytes in memory with the readline of pyserial's ports."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]  # any buffer
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def readline() -> int:
    """The same bytes through ``readline``."""
    found = 0
    for _ in range(ROUNDS):
        for _, data in EXCHANGES:
            port = _Memory(data)
            while line := port.readline():
                found += bool(line.strip())
    return found


class _Counter(LineReader):
    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def handle_line(self, line: str) -> None:
        self.found += bool(line.strip())


def line_reader() -> int:
    """The same bytes through ``LineReader``."""
    reader = _Counter()
    for _ in range(ROUNDS):
        for _, data in EXCHANGES:
            for at in range(0, len(data), PIECE):
                reader.data_received(data[at : at + PIECE])
    return reader.found


def _rate(work: Callable[[], int], count: int, turns: int) -> float:
    """Lines a second of the fastest turn."""
    best = 1e9
    for _ in range(turns):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return count / best


def rows(turns: int = 5) -> list[tuple[str, float, float, str, float, str]]:
    """(name, ours, peer, unit, ratio, aim)."""
    count = ROUNDS * sum(lines(data) for _, data in EXCHANGES)
    rates = [0.0, 0.0, 0.0]
    for _ in range(turns):
        for at, work in enumerate((ours, readline, line_reader)):
            rates[at] = max(rates[at], _rate(work, count, 3))
    mine, slow, quick = rates
    return [
        ("AT engine against pyserial's readline", mine, slow, "lines/s", mine / slow, "at least 1"),
        (
            "AT engine against pyserial's LineReader",
            mine,
            quick,
            "lines/s",
            mine / quick,
            "reported",
        ),
    ]


if __name__ == "__main__":
    for row in rows():
        print(row)
