"""Page writers for controllers with more than one bit a pixel: SSD1322 and ST7789.

What changed of the one-bit frame goes out as rectangles of eight rows, each
after the commands that set its window, its pixels expanded to two values.
Commands take their arguments as data (SSD1322 rev. 1.2, 9; ST7789V v1.6, 9.1).
"""

from firmware.drivers.oled_pages import PageWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.display_bus import DisplayBus


#: Columns of an SSD1322, of which a panel has the middle ones.
GREY_COLUMNS = 480


class GreyWriter(PageWriter):
    """SSD1322: four bits a pixel, columns in groups of four. ``offset``: pixels of the
    controller's 480 left of the panel, a multiple of four."""

    #: A group more costs 16 bytes, a window 7.
    gap = 4

    def __init__(self, bus: "DisplayBus", width: int, height: int, offset: int) -> None:
        if width % 4 or offset % 4:
            raise ValueError("an SSD1322's columns come in groups of four")
        super().__init__(bus, width, height, offset)

    def _place(
        self, page: int, start: int, end: int, frame: bytes
    ) -> "list[tuple[bytes, bytes | bytearray]]":
        start, end = start // 4 * 4, (end + 3) // 4 * 4
        first, last = (self._offset + start) // 4, (self._offset + end) // 4 - 1
        columns = frame[page * self._width + start : page * self._width + end]
        pixels = bytearray(8 * len(columns) // 2)
        at = 0
        for row in range(8):
            bit = 1 << row
            for x in range(0, len(columns), 2):
                left = 0xF0 if columns[x] & bit else 0
                pixels[at] = left | (0x0F if columns[x + 1] & bit else 0)
                at += 1
        return [
            (b"\x15", bytes((first, last))),
            (b"\x75", bytes((page * 8, page * 8 + 7))),
            (b"\x5c", pixels),
        ]


class ColourWriter(PageWriter):
    """ST7789: 16 bits a pixel, red, green and blue of 5, 6 and 5. ``ink`` and ``paper``:
    colours of set and clear pixels as 24-bit numbers. ``offset``: first column."""

    #: A column more costs 16 bytes, a window 13.
    gap = 0

    def __init__(
        self, bus: "DisplayBus", width: int, height: int, offset: int, ink: int, paper: int
    ) -> None:
        super().__init__(bus, width, height, offset)
        self._colours = (_rgb565(paper), _rgb565(ink))

    def _place(
        self, page: int, start: int, end: int, frame: bytes
    ) -> "list[tuple[bytes, bytes | bytearray]]":
        columns = frame[page * self._width + start : page * self._width + end]
        colours = self._colours
        pixels = b"".join(
            [b"".join([colours[byte >> row & 1] for byte in columns]) for row in range(8)]
        )
        return [
            (b"\x2a", _span(self._offset + start, self._offset + end)),
            (b"\x2b", _span(page * 8, page * 8 + 8)),
            (b"\x2c", pixels),
        ]


def _rgb565(colour: int) -> bytes:
    red, green, blue = colour >> 16 & 0xFF, colour >> 8 & 0xFF, colour & 0xFF
    return (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).to_bytes(2, "big")


def _span(first: int, end: int) -> bytes:
    return first.to_bytes(2, "big") + (end - 1).to_bytes(2, "big")


def writer(
    bus: "DisplayBus", controller: str, width: int, height: int, offset: int, ink: int, paper: int
) -> PageWriter:
    """The page writer of a controller."""
    if controller == "ssd1322":
        return GreyWriter(bus, width, height, (GREY_COLUMNS - width) // 2)
    if controller == "st7789":
        return ColourWriter(bus, width, height, offset, ink, paper)
    return PageWriter(bus, width, height, offset)
