"""Page writer for panels: SSD1306, SSD1309 and SH1106 in page addressing mode.

Portable half of the panel drivers: what changed since the last frame goes out
as runs of columns of one page (eight rows), each after the three command bytes
that set page and column (SSD1306 rev. 1.1, 10.1; SH1106 V2.3, commands 1, 2
and 4). ``panel_pixels`` has the controllers that place their runs otherwise.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.display_bus import DisplayBus

#: Equal columns between two changes that are sent along rather than skipped:
#: a new run costs three command bytes and, on I2C, two address and two control bytes.
GAP = 6
#: Bytes after which a transfer is begun anew.
BATCH = 16384


def changed_runs(
    old: "bytes | bytearray | None", new: "bytes | bytearray", width: int, gap: int = GAP
) -> "list[tuple[int, int, int]]":
    """(page, first column, end column) of what differs; all pages when ``old`` is None."""
    runs = []
    for page in range(len(new) // width):
        base = page * width
        if old is None:
            runs.append((page, 0, width))
            continue
        if old[base : base + width] == new[base : base + width]:
            continue
        start = end = -1
        for x in range(width):
            if old[base + x] == new[base + x]:
                continue
            if start >= 0 and x - end > gap:
                runs.append((page, start, end))
                start = x
            elif start < 0:
                start = x
            end = x + 1
        runs.append((page, start, end))
    return runs


class PageWriter:
    """Brings a controller's memory to a frame. ``offset``: memory column of the left edge."""

    #: As GAP, for this controller.
    gap = GAP

    def __init__(self, bus: "DisplayBus", width: int, height: int, offset: int) -> None:
        self._bus = bus
        self._width = width
        self._size = width * (height // 8)
        self._offset = offset
        #: What the panel holds; None while that is not known.
        self._shown: "bytes | None" = None

    def forget(self) -> None:
        """The panel's memory is not known: the next frame is sent whole."""
        self._shown = None

    def show(self, frame: "bytes | bytearray") -> int:
        """Send what differs; returns the number of data bytes. BusError, and then
        the next frame is sent whole; ValueError for a frame of the wrong size."""
        if len(frame) != self._size:
            raise ValueError("frame has " + str(len(frame)) + " bytes, not " + str(self._size))
        frame = bytes(frame)
        old, self._shown = self._shown, None
        sent = waiting = 0
        parts: "list[tuple[bytes, bytes | bytearray]]" = []
        for page, start, end in changed_runs(old, frame, self._width, self.gap):
            for part in self._place(page, start, end, frame):
                if waiting + len(part[1]) > BATCH:
                    self._bus.write(parts)
                    parts, waiting = [], 0
                parts.append(part)
                waiting += len(part[1])
                sent += len(part[1])
        if parts:
            self._bus.write(parts)
        self._shown = frame
        return sent

    def _place(
        self, page: int, start: int, end: int, frame: bytes
    ) -> "list[tuple[bytes, bytes | bytearray]]":
        """Commands and data that bring columns ``start`` to ``end`` of a page to the panel."""
        column = start + self._offset
        base = page * self._width
        place = bytes((0xB0 | page, column & 0x0F, 0x10 | column >> 4))
        return [(place, frame[base + start : base + end])]
