"""The paper that comes out of the virtual printer: dots, and the text behind them.

A row of dots is one integer, its most significant bit the leftmost dot.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: A bitmap: width and its rows as integers.
Bitmap = tuple[int, Sequence[int]]

_FONTS = Path(__file__).resolve().parents[3] / "firmware" / "text" / "data"


class Paper:
    """Everything printed since the last ``tear``."""

    def __init__(self, dots: int = 384) -> None:
        self.dots = dots
        self.rows: list[int] = []
        self.lines: list[str] = []
        #: For each line, the number of rows up to its end.
        self.ends: list[int] = []
        #: Row numbers at which the paper was cut.
        self.cuts: list[int] = []

    def add(self, rows: Sequence[int], text: str | None = None) -> None:
        """Append rows of dots, and a line of text for readers."""
        self.rows.extend(rows)
        if text is not None:
            self.say(text)

    def say(self, *lines: str) -> None:
        """Append lines of text that end where the paper ends now."""
        self.lines.extend(lines)
        self.ends.extend([len(self.rows)] * len(lines))

    def tear(self) -> "Paper":
        """Take the paper away; the printer goes on with a fresh end."""
        torn = Paper(self.dots)
        torn.rows, torn.lines, torn.ends, torn.cuts = self.rows, self.lines, self.ends, self.cuts
        self.rows, self.lines, self.ends, self.cuts = [], [], [], []
        return torn

    def text(self) -> str:
        """The printed lines."""
        return "\n".join(self.lines)

    def packed(self) -> bytes:
        """Rows of ``dots / 8`` bytes, leftmost dot in bit 7, 1 for black."""
        return b"".join(row.to_bytes(self.dots // 8, "big") for row in self.rows)

    def image(self) -> "Image":
        """The paper as a picture, black on white."""
        from PIL import Image, ImageOps

        if not self.rows:
            return Image.new("L", (self.dots, 1), 255)
        picture = Image.frombytes("1", (self.dots, len(self.rows)), self.packed())
        return ImageOps.invert(picture.convert("L"))


class _FontFile:
    """One of the project's bitmap font files, read as plain data."""

    def __init__(self, name: str) -> None:
        data = (_FONTS / f"{name}.bin").read_bytes()
        if data[:4] != b"OTF1":
            raise ValueError(f"{name}.bin is not a font of a known version")
        self.width, self.height = data[4], data[5]
        count = int.from_bytes(data[8:10], "little")
        size = int.from_bytes(data[10:12], "little")
        starts = [int.from_bytes(data[i : i + 2], "little") for i in range(12, 12 + 514, 2)]
        low, at = 12 + 514, 12 + 514 + count
        self.glyphs: dict[int, bytes] = {}
        for page in range(256):
            for i in range(starts[page], starts[page + 1]):
                glyph = data[at + i * size : at + (i + 1) * size]
                self.glyphs[page << 8 | data[low + i]] = glyph

    def rows(self, point: int) -> list[int] | None:
        """Rows of one glyph as integers; None when the font lacks it."""
        strips = self.glyphs.get(point)
        if strips is None:
            return None
        return [
            sum(
                (strips[(y >> 3) * self.width + x] >> (y & 7) & 1) << (self.width - 1 - x)
                for x in range(self.width)
            )
            for y in range(self.height)
        ]


_fonts: dict[str, _FontFile] = {}
_glyphs: dict[tuple[str, int, int], tuple[int, ...]] = {}


def _font(name: str) -> _FontFile:
    if name not in _fonts:
        _fonts[name] = _FontFile(name)
    return _fonts[name]


def glyph(char: str, width: int, height: int) -> tuple[int, ...]:
    """A character centred in a cell of ``width`` x ``height`` dots; a box if unknown."""
    key = (char, width, height)
    if key not in _glyphs:
        point = ord(char)
        names = ("han16",) if width >= 16 else ("latin20", "latin16", "latin8")
        found: list[int] | None = None
        inner = 0
        for name in names:
            font = _font(name)
            if font.width <= width and font.height <= height:
                found, inner = font.rows(point), font.width
                if found is not None:
                    break
        if found is None:
            inner = width - 2
            edge = (1 << inner) - 1
            sides = 1 << (inner - 1) | 1
            found = [edge] + [sides] * (height - 6) + [edge]
        left = width - inner - (width - inner) // 2
        above = (height - len(found)) // 2
        cell = [0] * above + [row << left for row in found]
        _glyphs[key] = tuple(cell + [0] * (height - len(cell)))
    return _glyphs[key]


def scale(bitmap: Bitmap, wide: int, tall: int) -> Bitmap:
    """Enlarge by whole factors."""
    width, rows = bitmap
    if wide > 1:
        spread = []
        for row in rows:
            bits = f"{row:0{width}b}"
            spread.append(int("".join(bit * wide for bit in bits), 2))
        rows = spread
    if tall > 1:
        rows = [row for row in rows for _ in range(tall)]
    return width * wide, rows


def rotate(bitmap: Bitmap) -> Bitmap:
    """A quarter turn clockwise."""
    width, rows = bitmap
    height = len(rows)
    turned = [
        sum((rows[y] >> (width - 1 - x) & 1) << y for y in range(height)) for x in range(width)
    ]
    return height, turned
