"""Lines of text as bitmaps, for printers without Chinese characters."""

from firmware.text import faces, fonts
from firmware.text.canvas import Canvas, scaled

_fonts_of_cell = {8: "latin16", 10: "latin20", 12: "latin20"}


def line(text: str, scale: int = 1, style: str = "", cell: int = 12) -> "tuple[int, list[bytes]]":
    """One line of text as ``(width, rows)`` in dots, 8 dots a byte, leftmost in bit 7.

    A Latin character is ``cell`` dots wide and a Chinese one two cells, so
    columns agree with the printer's own type (12 dots at 203 dpi); the line
    is ``2 * cell`` dots high. ``style`` takes the letters of hal.printer that
    belong to type: ``b`` bold, ``h`` double height, ``w`` double width,
    ``u`` underlined, ``i`` inverse. ``scale`` enlarges both ways.
    ``("image", width, rows)`` of a document is just this.
    """
    if cell < 8:
        raise ValueError("a cell is at least 8 dots wide")
    latin = fonts.open(_fonts_of_cell.get(cell, "latin16"))
    han = fonts.open("han16")
    height = 2 * cell
    width = max(faces.columns(text), 1) * cell
    canvas = Canvas(max(width, 8), (height + 7) // 8 * 8)
    base = (height - han.height) // 2 + han.baseline
    x = 0
    for char in text:
        point = ord(char)
        wide = faces.is_wide(char)
        font = han if wide or (point > 0x7F and not latin.has(point)) else latin
        room = 2 * cell if wide else cell
        strips = font.strips(point) or font.box()
        left = x + (room - font.width) // 2
        canvas.blit(left, base - font.baseline, font.width, font.height, strips)
        if "b" in style and not wide:  # smeared Chinese strokes would run together
            canvas.blit(left + 1, base - font.baseline, font.width, font.height, strips)
        x += room
    if "u" in style:
        canvas.fill(0, height - 2, width, 1)
    if "i" in style:
        canvas.invert(0, 0, width, height)
    picture = bytes(canvas.frame)
    wide_by, tall_by = scale * (1 + ("w" in style)), scale * (1 + ("h" in style))
    # Enlarge both ways by the larger factor's common part, then the rest one way.
    both = min(wide_by, tall_by)
    rows = _rows(scaled(picture, canvas.width, canvas.height, both), canvas.width * both)
    rows = rows[: height * both]
    full = width * both
    if wide_by > both:
        rows = [_doubled(row) for row in rows]
        full *= 2
    if tall_by > both:
        rows = [row for row in rows for _ in (0, 1)]
    return full, [row[: (full + 7) // 8] for row in rows]


def _rows(strips: bytes, width: int) -> "list[bytes]":
    height = len(strips) // width * 8
    flat = fonts.to_rows(strips, width, height)
    stride = (width + 7) // 8
    return [flat[y * stride : (y + 1) * stride] for y in range(height)]


def _doubled(row: bytes) -> bytes:
    """Every dot of a row twice."""
    out = bytearray()
    for byte in row:
        pair = 0
        for bit in range(8):
            if byte & 1 << bit:
                pair |= 3 << (2 * bit)
        out += pair.to_bytes(2, "big")
    return bytes(out)
