"""Printer: ESC/POS on a serial port, paced so that its buffer never overruns.

Two kinds of answer steer the pace. Marks (GS r 1) stand in the data and are
answered in their turn, so each answer tells how much has left the buffer;
what is between the last answered mark and the last byte sent is in flight
and stays below the buffer's size. DLE EOT is answered at once, whatever
stands in the buffer, and says why no mark comes: paper, cover, heat.

Paper-out and open cover end the document: the printer's buffer is cleared,
so that no half receipt comes out when paper is put in, and the named error
is raised; it says how many items the last answered mark has behind it. A hot
head is waited for (it resumes by itself) up to ``HOT_WAIT_MS``, then the
document is ended likewise.

A printer that never answers is paced by time alone: a part counts as printed
when the slowest paper would have moved. Its troubles cannot be seen.
"""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.drivers.escpos_encode import Profile, encode
from firmware.hal.printer import (
    CoverOpen,
    PaperOut,
    Printer,
    PrinterError,
    PrinterForeign,
    PrinterHot,
    PrinterMissing,
    PrinterStatus,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.serial_port import SerialPort

#: Real-time status: how long an answer may take beyond the line's own delay.
ANSWER_MS = 500
#: No mark for so long: ask why.
MARK_MS = 300
#: Reads until an answer is given up in what arrives without a pause: a printer that
#: babbles is as good as silent.
MOST_READS = 256
#: Receipt printers of 384 dots on 48 mm and 576 on 72 mm, and as many rows along it.
DOTS_PER_MM = 8
#: Slowest paper movement that is believed, dot rows a second.
SLOWEST = 200
HOT_WAIT_MS = 20000
#: A line that takes no byte for so long is given up: longer than a hot head stands, which
#: holds up the line of a printer that gives no answers.
FULL_MS = 25000
#: Between two tries at a line that is full, or that says nothing of use.
PAUSE_MS = 5
#: A mark after about so many bytes.
MARK_EVERY = 256
#: GS r 1: transmit paper sensor status.
MARK = b"\x1dr\x01"
#: What the buffer must have free beyond our own bytes: marks and status requests.
RESERVE = 256
#: Answer to DLE EOT 2: cover open, stopped for paper, an error (heat is one).
STOPPED = 0x04 | 0x20 | 0x40
#: What else a printer may say, beside automatic status (whose head is 0x10 by its fixed
#: bits, the rest looks like marks): XON, XOFF, the head of its answer to CLEAR.
OTHERS = (0x11, 0x13, 0x37)
#: Bytes that are shown of what is no printer's.
SHOWN = 16
#: DLE DC4 8: clear the buffers.
CLEAR = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"


class EscposPrinter(Printer):
    """``buffer``: bytes that the printer's receive buffer holds."""

    def __init__(self, port: "SerialPort", profile: Profile, buffer: int = 4096) -> None:
        if buffer < 2048:
            raise ValueError("a printer buffer has at least 2048 bytes")
        self.columns = profile.columns
        self.dots = profile.dots
        self._port = port
        self._profile = profile
        # On a slow line less in flight keeps status answers quick.
        self._budget = min(buffer - RESERVE, max(MARK_EVERY * 2, port.baud // 40))
        self._lock = aio.Lock()
        #: (bytes, items of the document, time when the slowest paper is there, dot rows)
        #: up to each mark that is not answered yet; bytes and rows since the one before.
        self._marks: "list[tuple[int, int, int, int]]" = []
        self._rows = 0  # of paper that surely moved
        self.cuts = 0
        #: Items of the document that are surely on paper.
        self._done = 0
        self._paper_free = 0
        self._replies: "list[int]" = []
        #: The latest bytes that no printer of this kind sends.
        self._foreign = b""
        #: Real-time answers that image bytes will provoke (Epson: DLE acts inside data too).
        self._stray = 0
        self._line_free = 0
        self._dirty = True

    @property
    def fed_mm(self) -> int:  # type: ignore[override]  # the contract's is a plain value
        """Millimetres of paper that surely moved since the driver began."""
        return self._rows // DOTS_PER_MM

    async def status(self) -> PrinterStatus:
        """Ask the printer (waits for a document in progress). PrinterMissing."""
        async with self._lock:
            try:
                await self._begin()
                return await self._status()
            finally:
                await self._port.end()

    async def print(self, document: "list[tuple[object, ...]]") -> None:
        """Print ``document``; returns when its last line has moved out.

        Raises PaperOut, CoverOpen, PrinterHot, PrinterMissing, PrinterError;
        ValueError before anything is printed.
        """
        ends: "list[int]" = []
        units = encode(document, self._profile, ends)
        async with self._lock:
            self._done = 0
            try:
                await self._begin()
                if self._dirty:
                    await self._clear()
                self._dirty = True
                # Asked after the clearing: a late answer to that comes before this one's.
                _raise_for(await self._status(), hot_too=True)
                await self._print(units, ends)
                self._done = len(document)
            except BusError as error:
                raise PrinterMissing(str(error), self._done) from None
            except PrinterError as error:
                error.done = self._done
                raise
            finally:
                if self._profile.cutter:
                    self.cuts += sum([item[0] == "cut" for item in document[: self._done]])
                await self._port.end()
            self._dirty = False

    async def _begin(self) -> None:
        try:
            await self._port.begin()
        except BusError as error:
            raise PrinterMissing(str(error)) from None

    async def _print(self, units: "list[tuple[bytes, int]]", ends: "list[int]") -> None:
        mark = MARK if self._profile.answers else b""
        rows = 0
        for data, moved, done in _parts(units, ends):
            size = len(data) + len(mark)
            while self._marks and self._in_flight() + size > self._budget:
                await self._wait_mark(rows)
            rows += moved
            await self._send(data + mark)
            paper = max(self._paper_free - aio.ticks_ms(), self._line_delay())
            self._paper_free = aio.ticks_ms() + paper + moved * 1000 // SLOWEST
            self._marks.append((size, done, self._paper_free, moved))
        while self._marks:
            await self._wait_mark(rows)
        await self._port.sent()  # no mark says so of a printer that gives none
        _raise_for(await self._status(), hot_too=False)

    def _in_flight(self) -> int:
        return sum([mark[0] for mark in self._marks])

    async def _wait_mark(self, rows: int) -> None:
        """Wait until one more mark is answered; ``rows``: paper that may move before it."""
        if not self._profile.answers:
            await aio.sleep_ms(max(self._marks[0][2] - aio.ticks_ms(), 0))
            self._rows += self._marks.pop(0)[3]
            return
        waiting = len(self._marks)
        limit = 3000 + self._line_delay() + rows * 1000 // SLOWEST
        start = aio.ticks_ms()
        hot_since = -1
        while len(self._marks) >= waiting:
            heard = await self._receive(MARK_MS)
            if len(self._marks) < waiting:
                return
            if heard:  # and no mark: what babbles must not hold everything else up
                await aio.sleep_ms(PAUSE_MS)
            status = await self._status(stopped_only=True)
            if status.hot and not (status.paper_out or status.cover_open or status.error):
                if hot_since < 0:
                    hot_since = aio.ticks_ms()
                if aio.elapsed_ms(hot_since) >= HOT_WAIT_MS:
                    await self._clear()
                    _raise_for(status, hot_too=True)
                start = aio.ticks_ms()
                continue
            hot_since = -1
            if status.paper_out or status.cover_open or status.error:
                await self._clear()
                _raise_for(status, hot_too=True)
            if aio.elapsed_ms(start) > limit:
                await self._clear()
                raise PrinterError("the printer took its bytes and does not go on")

    def _line_delay(self) -> int:
        """Milliseconds until what was sent has left the line."""
        ahead = self._line_free - aio.ticks_ms()
        return ahead if 0 < ahead < 60000 else 0

    async def _send(self, data: bytes) -> None:
        at = 0
        since = aio.ticks_ms()
        while at < len(data):
            taken = await self._port.write(data[at:])
            at += taken
            if taken:
                since = aio.ticks_ms()
            elif aio.elapsed_ms(since) > FULL_MS:
                raise PrinterMissing("the printer's line takes nothing")
            if at < len(data):
                await aio.sleep_ms(PAUSE_MS)
        spent = len(data) * 10000 // self._port.baud + 1
        self._line_free = aio.ticks_ms() + self._line_delay() + spent
        at = data.find(b"\x10\x04")
        while at >= 0:
            if at + 2 < len(data) and 1 <= data[at + 2] <= 4:
                self._stray += 1
            at = data.find(b"\x10\x04", at + 1)

    async def _receive(self, timeout_ms: int) -> bool:
        """Sort what arrives within the time; False when nothing did."""
        data = await self._port.read(64, timeout_ms)
        for byte in data:
            if byte & 0x93 == 0x12:
                self._replies.append(byte)
            elif byte & 0x90 == 0:
                if self._marks:
                    _, self._done, _, moved = self._marks.pop(0)
                    self._rows += moved
            elif byte & 0x93 != 0x10 and byte not in OTHERS:
                self._foreign = (self._foreign + bytes((byte,)))[-SHOWN:]
        return bool(data)

    async def _ask(self, number: int) -> int:
        """Answer to DLE EOT ``number``. PrinterMissing after two tries that were silent,
        PrinterForeign when what came was no such answer: of it a byte may look like one."""
        for attempt in range(2):
            self._foreign = b""
            await self._send(b"\x10\x04" + bytes((number,)))
            if attempt == 0:
                self._stray -= 1  # this one is ours; after a repeat the first may still come
            start = aio.ticks_ms()
            limit = ANSWER_MS + self._line_delay()
            reads = 0
            while aio.elapsed_ms(start) < limit and reads < MOST_READS:
                reads += 1
                arrived = await self._receive(60 if self._replies or self._foreign else limit)
                if self._foreign:
                    if not arrived:
                        break  # it ended: noise on the line, perhaps
                # Answers that image bytes provoked come first; ours is the last.
                elif self._replies and (len(self._replies) > self._stray or not arrived):
                    answer = self._replies[-1]
                    self._replies = []
                    self._stray = 0
                    return answer
            if self._foreign:
                self._replies = []
        raise self._missing("no answer to a status request")

    def _missing(self, why: str) -> PrinterMissing:
        """No answer, or that of something else."""
        if not self._foreign:
            return PrinterMissing(why)
        return PrinterForeign("no printer's answer to a status request: " + repr(self._foreign))

    async def _status(self, stopped_only: bool = False) -> PrinterStatus:
        """``stopped_only``: ask for reasons only if the printer says that it stopped."""
        if not self._profile.answers:
            return PrinterStatus(False, False, False, False, False)
        try:
            two = await self._ask(2)
            if stopped_only and not two & STOPPED:
                return PrinterStatus(False, False, False, False, False)
            three = await self._ask(3)
            four = await self._ask(4)
        except BusError as error:  # a service that was asked nonsense may hang up
            raise self._missing(str(error)) from None
        return PrinterStatus(
            paper_out=bool(two & 0x20 or four & 0x60),
            paper_low=bool(four & 0x0C),
            cover_open=bool(two & 0x04),
            hot=bool(three & 0x40),
            error=bool(three & 0x28),
        )

    async def _clear(self) -> None:
        """Empty the printer's buffer and forget what was to be answered."""
        if self._profile.answers:  # another one might print the command
            await self._send(CLEAR)
            await aio.sleep_ms(50 + self._line_delay())
        self._port.drop_input()
        self._marks = []
        self._replies = []
        self._stray = 0
        self._dirty = True


def _parts(units: "list[tuple[bytes, int]]", ends: "list[int]") -> "list[tuple[bytes, int, int]]":
    """``units`` joined to parts of at most ``MARK_EVERY`` bytes; a larger one stays alone.

    Each with its dot rows and the items whose last unit (``ends``) is in it or before.
    """
    parts = []
    data = b""
    rows = done = 0
    for index in range(len(units)):
        piece, moved = units[index]
        if data and len(data) + len(piece) > MARK_EVERY:
            parts.append((data, rows, done))
            data, rows = b"", 0
        data += piece
        rows += moved
        while done < len(ends) and ends[done] <= index + 1:
            done += 1
    parts.append((data, rows, done))
    return parts


def _raise_for(status: PrinterStatus, hot_too: bool) -> None:
    if status.cover_open:
        raise CoverOpen("the cover is open")
    if status.paper_out:
        raise PaperOut("no paper")
    if hot_too and status.hot:
        raise PrinterHot("the head is too hot")
    if status.error:
        raise PrinterError("the printer reports a cutter or mechanical error")
