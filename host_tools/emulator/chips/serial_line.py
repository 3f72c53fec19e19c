"""Chip: the far end of a serial cable (a PC), with the cable's pace."""

from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError

#: What the terminal's UART driver holds before it accepts no more.
TX_BUFFER = 4096


class SerialLine:
    """Wire kind "serial". ``feed`` and ``take`` are the PC's side of the cable."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self.baud = 115200
        self.unplugged = False
        self._out: list[tuple[int, int]] = []  # (arrival us, byte) towards the PC
        self._in: list[tuple[int, int]] = []  # towards the terminal
        self._out_free = 0
        self._in_free = 0
        #: When the last byte that ``take`` gave arrived, in us.
        self.taken_us = 0

    def feed(self, data: bytes) -> None:
        """The PC sends."""
        now = self._clock_us()
        for byte in data:
            self._in_free = max(self._in_free, now) + 10_000_000 // self.baud
            self._in.append((self._in_free, byte))

    def take(self) -> bytes:
        """What has arrived at the PC."""
        now = self._clock_us()
        for arrival, _ in self._out:
            if arrival > now:
                break
            self.taken_us = arrival
        return self._arrived(self._out, 1 << 20)

    def _arrived(self, line: list[tuple[int, int]], most: int) -> bytes:
        now = self._clock_us()
        count = 0
        while count < len(line) and count < most and line[count][0] <= now:
            count += 1
        data = bytes(byte for _, byte in line[:count])
        del line[:count]
        return data

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if self.unplugged:
            raise ChipError("serial: unplugged")
        now = self._clock_us()
        if op == 1:
            waiting = max(self._out_free - now, 0) * self.baud // 10_000_000
            accepted = payload[: max(TX_BUFFER - waiting, 0)]
            for byte in accepted:
                self._out_free = max(self._out_free, now) + 10_000_000 // self.baud
                self._out.append((self._out_free, byte))
            return len(accepted).to_bytes(2, "big"), 0
        if op == 2 and len(payload) == 2:
            return self._arrived(self._in, int.from_bytes(payload, "big")), 0
        if op == 3 and len(payload) == 4 and payload != bytes(4):
            self.baud = int.from_bytes(payload, "big")
            return b"", 0
        raise ChipError(f"serial: operation {op} with {len(payload)} bytes")
