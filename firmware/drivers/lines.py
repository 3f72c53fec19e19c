"""Lines from devices that type or send text: scanners and swipe readers.

A line ends with its suffix, or, for the suffix "none", when nothing more came
for ``SILENCE_MS``. Buffers are of fixed size and wiped: a line may be a track.
"""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.crypto import wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.serial_port import SerialPort

#: Suffix by name: the bytes of which any ends a line.
SUFFIXES = {"enter": b"\r\n", "tab": b"\t", "none": b""}
#: A line that stands still for so long was cut off, or is complete without a suffix.
SILENCE_MS = 250
#: A wait that took so much longer than asked was held up, and says nothing about silence.
HELD_UP_MS = 20
#: A device that went away is looked for again after so many milliseconds.
BACK_MS = 500
#: A look into a port that says nothing.
LOOK_MS = 1
#: Bytes taken from a port at a time, and how often at once: what babbles holds up nobody.
PART = 256
MOST_PARTS = 64


class LineBuffer:
    """Collects one line of at most ``most`` bytes, prefix included."""

    def __init__(self, most: int, suffix: str = "enter", prefix: bytes = b"") -> None:
        if suffix not in SUFFIXES:
            raise ValueError("no suffix is called " + suffix)
        self._bytes = bytearray(most)
        self._ends = SUFFIXES[suffix]
        self._prefix = prefix
        self._count = 0
        #: What comes until the line ends, or falls silent, is the rest of one that was
        #: too long, or forgotten half-way.
        self._rest = False
        #: What is wrong with the line so far: "", "long", "keys".
        self.trouble = ""

    def empty(self) -> bool:
        """Nothing of a line has come."""
        return self._count == 0 and not self.trouble and not self._rest

    def put(self, byte: int) -> bool:
        """Take one byte; True when it ends a line that has something in it, or makes it
        too long: that is told at once, for it may never end."""
        if byte in self._ends:
            whole = not self._rest and not self.empty()
            if self._rest:
                self.clear()
            return whole
        if self._rest:
            return False
        if self._count == len(self._bytes):
            self.trouble = "long"
            return True
        self._bytes[self._count] = byte
        self._count += 1
        return False

    def forget(self, ended: bool) -> None:
        """Forget and wipe what has come. Of a line that has not ``ended`` what is still
        to come is none."""
        rest = self.trouble == "long" or not (ended or self.empty())
        self.clear()
        self._rest = rest

    def silent(self) -> bool:
        """Nothing more came: the line is complete, or cut. False when there is none."""
        if self._rest:
            self.clear()
        if self.empty():
            return False
        if self._ends:
            self.trouble = self.trouble or "cut"
        return True

    def take(self) -> "tuple[str, bytearray]":
        """(trouble, line without prefix) and an empty buffer. The line is empty in trouble."""
        trouble, size = self.trouble, len(self._prefix)
        if not trouble and bytes(self._bytes[:size]) != self._prefix:
            trouble = "cut"
        line = bytearray() if trouble else self._bytes[size : self._count]
        self.clear()
        self._rest = trouble == "long"
        return trouble, line

    def clear(self) -> None:
        """Forget and wipe what has come."""
        for i in range(self._count):
            self._bytes[i] = 0
        self._count = 0
        self._rest = False
        self.trouble = ""


class Lines:
    """Where lines come from."""

    async def next(self) -> "tuple[int, str, bytearray]":
        """Wait for (source, trouble, line); the caller wipes the line.

        ``trouble``: "" or why there is no line: "long", "cut", "keys".
        Cancelling it loses nothing. BusError once when the device goes away.
        """
        raise NotImplementedError

    async def check(self) -> None:
        """Ask whether every device is there; no line is lost. BusError, each time."""
        raise NotImplementedError

    def flush(self) -> None:
        """Forget and wipe what came and was not taken. Of a line that is arriving the
        rest is forgotten too, up to its suffix or to silence that a reader waited for."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let the device go. Never raises, may be called twice."""
        raise NotImplementedError


class SerialLines(Lines):
    """Lines of a device on a serial port."""

    def __init__(
        self, port: "SerialPort", most: int, suffix: str = "enter", prefix: bytes = b""
    ) -> None:
        self._port = port
        self._line = LineBuffer(most + len(prefix), suffix, prefix)
        self._got = bytearray(PART)  # of fixed size, as the line is
        self._at = 0
        self._end = 0
        #: Milliseconds that readers have waited since the last byte.
        self._waited = 0
        self._lost = False

    async def next(self) -> "tuple[int, str, bytearray]":
        """Wait for a line. BusError once when the port goes away."""
        while True:
            while self._at < self._end:
                byte = self._got[self._at]
                self._got[self._at] = 0
                self._at += 1
                if self._line.put(byte):
                    return self._taken()
            if self._lost:
                await aio.sleep_ms(BACK_MS)
            try:
                if not await self._fill() and self._line.silent():
                    return self._taken()
            except BusError:
                self._line.forget(False)  # pulled and put back in mid-line, the rest may come
                if not self._lost:
                    self._lost = True
                    raise

    def _taken(self) -> "tuple[int, str, bytearray]":
        trouble, line = self._line.take()
        return 0, trouble, line

    async def _fill(self) -> bool:
        """Bring bytes; False when a line stood still too long."""
        limit = None if self._line.empty() else max(SILENCE_MS - self._waited, 0)
        since = aio.ticks_ms()
        try:
            data = await self._port.read(PART, limit)
            held_up = limit is not None and aio.elapsed_ms(since) > limit + HELD_UP_MS
        finally:
            self._waited += aio.elapsed_ms(since)
        # Nothing may be awaited between the read and the copy: a cancelled read loses nothing.
        self._keep(data)
        self._waited = 0
        self._lost = False
        return held_up or bool(data)

    def _keep(self, data: bytes) -> None:
        """Put ``data``, which there is room for, behind what waits."""
        waits = self._end - self._at
        for i in range(waits if self._at else 0):
            self._got[i], self._got[self._at + i] = self._got[self._at + i], 0
        self._at, self._end = 0, waits + len(data)
        self._got[waits : self._end] = data

    async def check(self) -> None:
        """Look into the port; what came is kept for ``next``. BusError."""
        waits = self._end - self._at
        if waits < PART:
            self._keep(await self._port.read(PART - waits, LOOK_MS))

    def flush(self) -> None:
        """See ``Lines.flush``."""
        self._waited = 0
        try:
            for _ in range(MOST_PARTS):
                while self._at < self._end:
                    if self._line.put(self._got[self._at]):
                        self._line.forget(True)
                    self._at += 1
                data = self._port.take_input(PART)
                if not data:
                    break
                self._keep(data)
        except BusError:
            pass  # the next read names it
        wipe(self._got)
        self._at = self._end = 0
        self._line.forget(False)

    async def close(self) -> None:
        """Wipe and close the port."""
        self.flush()
        await self._port.close()
