"""Bitmap fonts in flash: one glyph is read at a time, by offset.

Files are made by host_tools/fonts_build.py, which describes the format.
``latin8``, ``latin10``, ``latin16``, ``latin20`` are Latin of that height,
``han16`` is Chinese. Code points are those of the basic multilingual plane.
"""

from firmware.text.data_file import DataFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.text.canvas import Strips

_HEAD = 12 + 2 * 257
_CACHE = 128


class Font:
    """An open font. ``width`` and ``height`` of a cell, ``baseline`` row, in pixels."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._file = DataFile(name + ".bin", b"OTF1")
        head = self._file.read(0, _HEAD)
        self.width = head[4]
        self.height = head[5]
        self.baseline = head[6]
        self.count = int.from_bytes(head[8:10], "little")
        self._size = int.from_bytes(head[10:12], "little")
        self._starts = head[12:]
        self._cache: "dict[int, bytes | None]" = {}
        self._box = _box(self.width, self.height)

    def _index(self, point: int) -> int:
        page = point >> 8
        if page > 255:
            return -1
        at = 2 * page
        start = int.from_bytes(self._starts[at : at + 2], "little")
        end = int.from_bytes(self._starts[at + 2 : at + 4], "little")
        if start == end:
            return -1
        found = self._file.read(_HEAD + start, end - start).find(bytes([point & 0xFF]))
        return start + found if found >= 0 else -1

    def strips(self, point: int) -> "bytes | None":
        """The glyph as strips of eight rows, ``width`` bytes each, bit 0 on top.

        None when the font has no such character.
        """
        if point in self._cache:
            return self._cache[point]
        index = self._index(point)
        glyph = None
        if index >= 0:
            glyph = self._file.read(_HEAD + self.count + index * self._size, self._size)
        if len(self._cache) >= _CACHE:
            self._cache.clear()
        self._cache[point] = glyph
        return glyph

    def forget(self) -> None:
        """Let go of the glyphs read so far."""
        self._cache.clear()

    def has(self, point: int) -> bool:
        """Whether the font has a glyph for this code point."""
        return self._index(point) >= 0

    def box(self) -> bytes:
        """The visible box that stands for a missing glyph, as strips."""
        return self._box

    def glyph(self, point: int) -> "tuple[int, bytes]":
        """``(width, rows)``: rows of ``(width + 7) // 8`` bytes, leftmost pixel in bit 7.

        A missing character is shown as a box.
        """
        strips = self.strips(point)
        return self.width, to_rows(strips or self._box, self.width, self.height)


def forget() -> None:
    """Let go of the glyphs of all open fonts."""
    for font in _open_fonts.values():
        font.forget()


def _box(width: int, height: int) -> bytes:
    out = bytearray(width * ((height + 7) // 8))
    top, bottom = (1, height - 2) if height > 8 else (0, height - 2)
    for x in range(1, width - 1):
        for y in range(top, bottom + 1):
            if x in (1, width - 2) or y in (top, bottom):
                out[(y >> 3) * width + x] |= 1 << (y & 7)
    return bytes(out)


def to_rows(strips: "Strips", width: int, height: int) -> bytes:
    """Turn strips (bit 0 on top) into rows (bit 7 left) of ``(width + 7) // 8`` bytes."""
    stride = (width + 7) // 8
    out = bytearray(stride * height)
    for y in range(height):
        base = (y >> 3) * width
        bit = 1 << (y & 7)
        for x in range(width):
            if strips[base + x] & bit:
                out[y * stride + (x >> 3)] |= 0x80 >> (x & 7)
    return bytes(out)


_open_fonts: "dict[str, Font]" = {}


def open(name: str) -> Font:  # noqa: A001 - the name that the room's callers know
    """The font ``name``, opened once and kept. Raises DataFileError."""
    font = _open_fonts.get(name)
    if font is None:
        font = _open_fonts[name] = Font(name)
    return font
