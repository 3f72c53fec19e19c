"""Chip: the far end of a serial cable (a PC), with the cable's pace."""

import collections
from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError

#: What the terminal's UART driver holds before it accepts no more.
TX_BUFFER = 4096
#: Bits of a byte on the line, in millionths of a second at 1 baud.
_BYTE = 10_000_000


def _nothing() -> None:
    """Nobody listens."""


class _Way:
    """One direction: runs of bytes with the time when the first of each begins."""

    def __init__(self) -> None:
        self.runs: collections.deque[tuple[int, int, bytes]] = collections.deque()
        self.free = 0  # when the line is free again, us
        self.waiting = 0  # bytes that nobody has taken

    def put(self, data: bytes, now: int, baud: int) -> None:
        """``data`` leaves as soon as the line is free."""
        if data:
            start = max(self.free, now)
            self.runs.append((start, baud, data))
            self.free = start + len(data) * _BYTE // baud
            self.waiting += len(data)

    def take(self, now: int, most: int) -> tuple[bytes, int]:
        """At most ``most`` bytes that have arrived, and when the last of them did."""
        parts, last = [], 0
        while self.runs and most:
            start, baud, data = self.runs[0]
            count = min(len(data), most, max(0, now - start) * baud // _BYTE)
            if not count:
                break
            parts.append(data[:count])
            most -= count
            self.waiting -= count
            last = start + -(-count * _BYTE // baud)
            self.runs.popleft()
            if count < len(data):
                self.runs.appendleft((start + count * _BYTE // baud, baud, data[count:]))
                break
        return b"".join(parts), last


class SerialLine:
    """Wire kind "serial". ``feed`` and ``take`` are the PC's side of the cable."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self.baud = 115200
        self.unplugged = False
        #: Called when the terminal wrote something.
        self.on_out: Callable[[], None] = _nothing
        self._out = _Way()  # towards the PC
        self._in = _Way()  # towards the terminal
        #: When the last byte that ``take`` gave arrived, in us.
        self.taken_us = 0

    @property
    def coming(self) -> int:
        """Bytes towards the PC that ``take`` has not given."""
        return self._out.waiting

    @property
    def going(self) -> int:
        """Bytes towards the terminal that it has not read."""
        return self._in.waiting

    def feed(self, data: bytes) -> None:
        """The PC sends."""
        self._in.put(data, self._clock_us(), self.baud)

    def take(self) -> bytes:
        """What has arrived at the PC."""
        data, last = self._out.take(self._clock_us(), 1 << 20)
        if data:
            self.taken_us = last
        return data

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if self.unplugged:
            raise ChipError("serial: unplugged")
        now = self._clock_us()
        if op == 1:
            waiting = max(self._out.free - now, 0) * self.baud // _BYTE
            accepted = payload[: max(TX_BUFFER - waiting, 0)]
            self._out.put(accepted, now, self.baud)
            self.on_out()
            return len(accepted).to_bytes(2, "big"), 0
        if op == 2 and len(payload) == 2:
            return self._in.take(now, int.from_bytes(payload, "big"))[0], 0
        if op == 3 and len(payload) == 4 and payload != bytes(4):
            self.baud = int.from_bytes(payload, "big")
            return b"", 0
        raise ChipError(f"serial: operation {op} with {len(payload)} bytes")
