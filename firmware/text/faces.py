"""Type faces: a Latin font with Chinese behind it, measured, wrapped and drawn."""

import sys

from firmware.text import fonts
from firmware.text.canvas import scaled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.text.canvas import Canvas

#: Marks that must not begin a line.
_CLOSING = "，。！？：；、）》”’%,.!?:;)…"
#: Code points from here on are wide: a missing one leaves a wide box.
_WIDE = 0x2E80
_CACHE = 64
_CPYTHON = sys.implementation.name == "cpython"


def is_wide(char: str) -> bool:
    """Whether the character takes two columns (Chinese and its full-width forms)."""
    return ord(char) >= _WIDE


def is_ascii(text: str) -> bool:
    """Whether all of it is ASCII: most lines are, and are measured at one stroke."""
    # MicroPython has no str.isascii, and CPython encodes no lone surrogate.
    return text.isascii() if _CPYTHON else len(text.encode()) == len(text)


def columns(text: str) -> int:
    """Width of ``text`` in printer columns: Latin one, Chinese two."""
    count = len(text)
    if is_ascii(text):
        return count
    for char in text:
        count += is_wide(char)
    return count


class Face:
    """One size of type. ``scale`` enlarges both fonts for larger panels."""

    def __init__(self, latin: str, scale: int = 1) -> None:
        self.scale = scale
        self._latin = fonts.open(latin)
        self._han = fonts.open("han16")
        self._cache: "dict[int, tuple[int, int, int, bytes]]" = {}

    def _font_of(self, point: int) -> fonts.Font:
        if point < 0x80 or self._latin.has(point):
            return self._latin
        return self._han if point >= _WIDE or self._han.has(point) else self._latin

    def _cell(self, char: str) -> "tuple[int, int, int, bytes]":
        """``(width, height, baseline, strips)`` of a character, enlarged."""
        point = ord(char)
        cell = self._cache.get(point)
        if cell is None:
            font, n = self._font_of(point), self.scale
            strips = font.strips(point) or font.box()
            picture = scaled(strips, font.width, font.height, n)
            cell = (font.width * n, font.height * n, font.baseline * n, picture)
            if len(self._cache) >= _CACHE:
                self._cache.clear()
            self._cache[point] = cell
        return cell

    def missing(self, text: str) -> str:
        """The characters of ``text`` that have no glyph."""
        return "".join(char for char in text if not self._font_of(ord(char)).has(ord(char)))

    def width(self, text: str) -> int:
        """Width in pixels of one line."""
        if is_ascii(text):
            return len(text) * self._latin.width * self.scale
        total = 0
        for char in text:
            total += self._cell(char)[0]
        return total

    def metrics(self, text: str) -> "tuple[int, int]":
        """``(height, baseline)`` in pixels of a line of this text."""
        n = self.scale
        up, down = self._latin.baseline * n, (self._latin.height - self._latin.baseline) * n
        if is_ascii(text):
            return up + down, up
        for char in text:
            _, height, baseline, _ = self._cell(char)
            up, down = max(up, baseline), max(down, height - baseline)
        return up + down, up

    def draw(self, canvas: "Canvas", x: int, y: int, text: str, on: bool = True) -> None:
        """Draw one line with its top left corner at ``x``, ``y``."""
        up = self.metrics(text)[1]
        run: "list[tuple[int, int, int, bytes]]" = []
        for char in text:
            cell = self._cell(char)
            if run and cell[1:3] != run[0][1:3]:
                x = _draw_run(canvas, x, y + up, run, on)
                run = []
            run.append(cell)
        if run:
            _draw_run(canvas, x, y + up, run, on)

    def wrap(self, text: str, width: int) -> "list[str]":
        """Break ``text`` into lines of at most ``width`` pixels.

        Breaks at spaces and between Chinese characters, never before a
        closing mark; a word longer than the line is cut. Newlines stay.
        """
        lines = []
        for part in text.split("\n"):
            lines.extend(wrap(part, width, self.width))
        return lines


def _draw_run(
    canvas: "Canvas", x: int, base: int, run: "list[tuple[int, int, int, bytes]]", on: bool
) -> int:
    """Draw cells of one height side by side as one picture; x behind them."""
    _, height, baseline, _ = run[0]
    width = 0
    for cell in run:
        width += cell[0]
    picture = bytearray()
    for strip in range((height + 7) >> 3):
        for wide, _, _, strips in run:
            picture += strips[strip * wide : strip * wide + wide]
    canvas.blit(x, base - baseline, width, height, picture, on)
    return x + width


def _pieces(text: str) -> "list[str]":
    """Unbreakable pieces: words with their spaces behind, single wide characters."""
    pieces: "list[str]" = []
    joined = False
    for char in text:
        closes = char in _CLOSING or char == " "
        opens = pieces and pieces[-1][-1] in "（《“"
        if pieces and (closes or opens or (joined and not is_wide(char))):
            pieces[-1] += char
        else:
            pieces.append(char)
        joined = not is_wide(char) and char != " " and not (char in _CLOSING and ord(char) > 0x7F)
    return pieces


def wrap(text: str, limit: int, measure: "Callable[[str], int]") -> "list[str]":
    """Break one paragraph at ``limit`` units of ``measure(text)``."""
    whole = text.rstrip(" ")
    if measure(whole) <= limit:
        return [whole]
    lines: "list[str]" = []
    line = ""
    for piece in _pieces(text):
        if not line or measure((line + piece).rstrip(" ")) <= limit:
            line += piece
        else:
            lines.append(line.rstrip(" "))
            line = piece
        while measure(line.rstrip(" ")) > limit and len(line) > 1:
            keep = len(line) - 1
            while keep > 1 and measure(line[:keep]) > limit:
                keep -= 1
            lines.append(line[:keep])
            line = line[keep:]
    lines.append(line.rstrip(" "))
    return lines
