"""Chip: ESC/POS receipt printer on a serial line, with the physics of one.

Bytes arrive at the baud rate into a receive buffer of 4 KiB and leave it as
the head gets to them; printing moves paper at so many dot rows a second. A
byte that meets a full buffer is lost and counted. Real-time commands (DLE)
act when they are received, whatever stands in the buffer, also inside image
data, as Epson's reference warns. Time is the injected clock's; the chip
catches up whenever somebody looks.
"""

from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.escpos_head import Head
from host_tools.emulator.chips.escpos_parser import next_command
from host_tools.emulator.chips.paper import Paper

BUFFER = 4096
#: What the terminal's own UART driver holds before it accepts no more.
TX_BUFFER = 16384


class EscposPrinter:
    """Wire kind "serial", with switches for what goes wrong at a counter."""

    def __init__(
        self,
        clock_us: Callable[[], int],
        dots: int = 384,
        baud: int = 115200,
        rows_per_s: int = 640,
        charset: str = "gb18030",
        buffer: int = BUFFER,
    ) -> None:
        self._clock_us = clock_us
        self.baud = baud
        self.host_baud = baud
        self._rows_per_s = rows_per_s
        self._size = buffer
        self.head = Head(Paper(dots), charset)
        self.received = 0
        self._overruns = 0
        self._peak = 0
        self.mute = False
        self._paper_out = self._cover_open = self._hot = False
        self.paper_low = False
        #: Dot rows left on the roll; None for a roll without end.
        self.rows_left: int | None = None
        self._buffer = bytearray()
        self._line: list[tuple[int, int]] = []  # (arrival us, byte) on their way here
        self._line_free = 0
        self._busy_until = 0
        self._last_arrival = 0
        self._recent = b""
        self._replies: list[tuple[int, int]] = []
        self._reply_free = 0
        self._asb = 0

    @property
    def paper(self) -> Paper:
        """What has been printed by now."""
        self._advance()
        return self.head.paper

    def text(self) -> str:
        """The printed lines by now."""
        return self.paper.text()

    @property
    def paper_out(self) -> bool:
        """Whether the paper sensor sees the end of the roll."""
        return self._paper_out

    @paper_out.setter
    def paper_out(self, value: bool) -> None:
        self._switch("_paper_out", value)

    @property
    def cover_open(self) -> bool:
        """Whether the cover is open."""
        return self._cover_open

    @cover_open.setter
    def cover_open(self, value: bool) -> None:
        self._switch("_cover_open", value)

    @property
    def hot(self) -> bool:
        """Whether the head is too hot to print."""
        return self._hot

    @hot.setter
    def hot(self, value: bool) -> None:
        self._switch("_hot", value)

    def _switch(self, name: str, value: bool) -> None:
        self._advance()
        if getattr(self, name) != value:
            setattr(self, name, value)
            now = self._clock_us()
            # Printing resumes from here, not from when it stopped.
            self._busy_until = max(self._busy_until, now)
            if self._asb:
                self._reply(now, self._asb_bytes())

    @property
    def stopped(self) -> bool:
        """Whether an error holds the head."""
        return self._paper_out or self._cover_open or self._hot

    @property
    def fill(self) -> int:
        """Bytes in the receive buffer now."""
        self._advance()
        return len(self._buffer)

    @property
    def overruns(self) -> int:
        """Bytes lost to a full buffer so far."""
        self._advance()
        return self._overruns

    @property
    def peak(self) -> int:
        """Highest fill of the receive buffer so far."""
        self._advance()
        return self._peak

    def idle(self) -> bool:
        """Whether everything sent has been printed."""
        self._advance()
        empty = not self._line and next_command(self._buffer) is None
        return empty and self._clock_us() >= self._busy_until

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        now = self._clock_us()
        self._advance()
        if op == 1:
            accepted = payload[: max(TX_BUFFER - len(self._line), 0)]
            step = 10_000_000 // self.host_baud
            for byte in accepted:
                self._line_free = max(self._line_free, now) + step
                self._line.append((self._line_free, byte))
            return len(accepted).to_bytes(2, "big"), 0
        if op == 2 and len(payload) == 2:
            most = int.from_bytes(payload, "big")
            count = 0
            while count < min(len(self._replies), most) and self._replies[count][0] <= now:
                count += 1
            answer = bytes(byte for _, byte in self._replies[:count])
            del self._replies[:count]
            return answer, 0
        if op == 3 and len(payload) == 4 and 300 <= int.from_bytes(payload, "big") <= 4_000_000:
            self.host_baud = int.from_bytes(payload, "big")
            return b"", 0
        raise ChipError(f"printer: operation {op} with {len(payload)} bytes")

    def _advance(self) -> None:
        """Play arrivals and printing in order of time up to now."""
        now = self._clock_us()
        arrived = 0
        while arrived < len(self._line) and self._line[arrived][0] <= now:
            at, byte = self._line[arrived]
            arrived += 1
            self._print_until(at)
            self._last_arrival = at
            self._receive(at, byte)
        del self._line[:arrived]
        self._print_until(now)

    def _receive(self, at: int, byte: int) -> None:
        if self.host_baud != self.baud:
            byte = (byte * 37 + 11) & 0xFF | 0x80  # framing errors: noise
        self.received += 1
        self._real_time(at, byte)
        if len(self._buffer) >= self._size:
            self._overruns += 1
        else:
            self._buffer.append(byte)
            self._peak = max(self._peak, len(self._buffer))

    def _real_time(self, at: int, byte: int) -> None:
        self._recent = (self._recent + bytes((byte,)))[-10:]
        tail = self._recent
        if tail[-3:-1] == b"\x10\x04" and 1 <= byte <= 4:
            self._reply(at, bytes((self._status(byte),)))
        elif tail[-3:-1] == b"\x10\x05" and byte == 2:
            self._clear()
        elif tail == b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08":
            self._clear()
            self._reply(at, b"\x37\x25\x00")

    def _clear(self) -> None:
        """Forget the buffer and the line not yet printed."""
        self._buffer.clear()
        self.head.reset()

    def _print_until(self, limit: int) -> None:
        """Let the head work on what is buffered, no further than ``limit``."""
        while self._buffer and not self.stopped and self._busy_until <= limit:
            found = next_command(self._buffer)
            if found is None:
                return
            command, arguments, length = found
            del self._buffer[:length]
            start = max(self._busy_until, self._last_arrival)
            if command in (b"\x1dr", b"\x1dI", b"\x1da"):
                self._ask(start, command, arguments)
                continue
            moved = self.head.execute(command, arguments)
            if moved:
                self._busy_until = start + moved * 1_000_000 // self._rows_per_s
                self._wear(moved)

    def _wear(self, rows: int) -> None:
        if self.rows_left is not None:
            self.rows_left = max(self.rows_left - rows, 0)
            self._paper_out = self._paper_out or self.rows_left == 0

    def _ask(self, at: int, command: bytes, arguments: bytes) -> None:
        n = arguments[0]
        if command == b"\x1dr" and n in (1, 49):
            value = (0x03 if self.paper_low else 0) | (0x0C if self._paper_out else 0)
            self._reply(at, bytes((value,)))
        elif command == b"\x1dr" and n in (2, 50):
            self._reply(at, b"\x00")
        elif command == b"\x1da":
            self._asb = n
            if n:
                self._reply(at, self._asb_bytes())
        elif command == b"\x1dI":
            named = {65: b"_OpenTill\0", 66: b"_OpenTill\0", 67: b"_virtual ESC/POS\0"}
            self._reply(at, named.get(n, {1: b"\x20", 2: b"\x02", 3: b"\x01"}.get(n, b"\x00")))

    def _status(self, n: int) -> int:
        value = 0x12
        if n == 1 and self.stopped:
            value |= 0x08
        elif n == 2:
            value |= 0x04 * self._cover_open | 0x20 * self._paper_out | 0x40 * self._hot
        elif n == 3:
            value |= 0x40 * self._hot
        elif n == 4:
            value |= 0x0C * (self.paper_low or self._paper_out) | 0x60 * self._paper_out
        return value

    def _asb_bytes(self) -> bytes:
        one = 0x10 | 0x08 * self.stopped | 0x20 * self._cover_open
        three = 0x03 * (self.paper_low or self._paper_out) | 0x0C * self._paper_out
        return bytes((one, 0x40 * self._hot, three, 0))

    def _reply(self, at: int, data: bytes) -> None:
        if self.mute:
            return
        for byte in data:
            self._reply_free = max(self._reply_free, at) + 10_000_000 // self.host_baud
            self._replies.append((self._reply_free, byte))
        del self._replies[:-1024]
