"""Turns a document of hal.printer into ESC/POS units.

A unit is ``(bytes, dot rows)``: bytes that belong together, and how far the
paper moves for them, from which the driver knows how long to wait. A
document is checked as a whole before its first unit is sent.
"""

from firmware.drivers import escpos_symbols
from firmware.drivers.escpos_text import TextCodec, clean
from firmware.text import faces, raster

TYPE_CHECKING = False
if TYPE_CHECKING:
    Unit = tuple[bytes, int]

_STYLES = "bhwcrui"
#: Dot rows of a text line at the default line spacing.
LINE = 30
#: Picture rows that go out in one command.
BAND = 24
#: Lines from the head to the tear bar.
TEAR = 4


class Profile:
    """What the board says of its printer."""

    def __init__(
        self,
        columns: int = 32,
        dots: int = 384,
        chinese: str = "gb18030",
        latin: bool = True,
        qr: str = "native",
        cutter: bool = False,
        answers: bool = True,
    ) -> None:
        """``answers``: it answers status requests (DLE EOT, GS r)."""
        if qr not in ("native", "raster"):
            raise ValueError("qr is native or raster")
        if columns < 16 or dots < 8 * columns:
            raise ValueError("a column is at least 8 dots wide, and there are 16 at least")
        self.columns = columns
        self.dots = dots
        self.codec = TextCodec(chinese, latin)
        self.qr = qr
        self.cutter = cutter
        self.answers = answers


def start() -> "Unit":
    """Reset, status reports off, code page 858, Chinese mode off."""
    return b"\x1b@\x1da\x00\x1bt\x13\x1c.", 0


def encode(
    document: "list[tuple[object, ...]]", profile: Profile, ends: "list[int] | None" = None
) -> "list[Unit]":
    """All units of ``document``. ValueError names the first bad item.

    ``ends`` is given, for each item, the number of units up to its end.
    """
    units = [start()]
    for index in range(len(document)):
        try:
            units.extend(_item(document[index], profile))
            if ends is not None:
                ends.append(len(units))
        except (ValueError, TypeError, IndexError) as error:
            raise ValueError("document item " + str(index) + ": " + str(error)) from None
    return units


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text expected")
    return clean(value)


def _style(value: object) -> str:
    if not isinstance(value, str) or any(letter not in _STYLES for letter in value):
        raise ValueError("bad style " + repr(value))
    return value


def _number(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError("number from 0 to " + str(most) + " expected")
    return value


def _item(item: "tuple[object, ...]", profile: Profile) -> "list[Unit]":
    kind, parts = item[0], item[1:]
    sizes = {"text": 2, "pair": 3, "rule": 0, "feed": 1, "barcode": 2, "qr": 1, "image": 2,
             "cut": 0}  # fmt: skip
    if not isinstance(kind, str) or sizes.get(kind) != len(parts):
        raise ValueError("no such item: " + repr(kind) + " with " + str(len(parts)) + " values")
    if kind == "text":
        return _lines(_text(parts[0]), _style(parts[1]), profile)
    if kind == "pair":
        return _pair(_text(parts[0]), _text(parts[1]), _style(parts[2]), profile)
    if kind == "rule":
        return [(b"-" * profile.columns + b"\n", LINE)]
    if kind == "feed":
        count = _number(parts[0], 20)
        return [(bytes((0x1B, 0x64, count)), count * LINE)] if count else []
    if kind == "barcode":
        commands, rows = escpos_symbols.barcode(_text(parts[0]), _text(parts[1]), profile.dots)
        return [(b"\x1ba\x01" + commands + b"\x1ba\x00", rows)]
    if kind == "qr":
        return _qr(_text(parts[0]), profile)
    if kind == "image":
        return _image(parts[0], parts[1], profile, b"")
    if profile.cutter:
        return [(b"\x1dV\x42\x00", TEAR * LINE)]
    return [(bytes((0x1B, 0x64, TEAR)), TEAR * LINE)]


def _limit(style: str, profile: Profile) -> int:
    return profile.columns // 2 if "w" in style else profile.columns


def _lines(text: str, style: str, profile: Profile) -> "list[Unit]":
    limit = _limit(style, profile)
    units = []
    for part in text.split("\n"):
        measure = profile.codec.columns if profile.codec.has(part) else faces.columns
        for line in faces.wrap(part, limit, measure):
            units.extend(_line(line, style, profile))
    return units


def _pair(left: str, right: str, style: str, profile: Profile) -> "list[Unit]":
    limit = _limit(style, profile)
    own = profile.codec.has(left) and profile.codec.has(right)
    measure = profile.codec.columns if own else faces.columns
    gap = limit - measure(left) - measure(right)
    plain = "".join(letter for letter in style if letter not in "cr")
    if gap >= 1 and "\n" not in left + right:
        return _line(left + " " * gap + right, plain, profile)
    return _lines(left, plain, profile) + _lines(right, plain + "r", profile)


def _line(line: str, style: str, profile: Profile) -> "list[Unit]":
    align = b"\x01" if "c" in style else b"\x02" if "r" in style else b"\x00"
    tall = 2 if "h" in style else 1
    if not profile.codec.has(line):
        cell = profile.dots // profile.columns
        width, rows = raster.line(line, 1, style, cell)
        gap = max(LINE * tall - len(rows), 0)  # the printer's own lines are this far apart
        picture = _image(width, rows, profile, b"\x1ba" + align)
        return picture + [(bytes((0x1B, 0x4A, gap)), gap)]
    size = (0x10 if "w" in style else 0) | (1 if "h" in style else 0)
    before = after = b""
    if align != b"\x00":
        before += b"\x1ba" + align
        after = b"\x1ba\x00"
    if size:
        before += bytes((0x1D, 0x21, size))
        after += b"\x1d!\x00"
    if "b" in style:
        before += b"\x1bE\x01"
        after += b"\x1bE\x00"
    if "u" in style:
        before += b"\x1b-\x01\x1c-\x01"
        after += b"\x1b-\x00\x1c-\x00"
    if "i" in style:
        before += b"\x1dB\x01"
        after += b"\x1dB\x00"
    return [(before + profile.codec.encode(line) + b"\n" + after, LINE * tall)]


def _image(width: object, rows: object, profile: Profile, before: bytes) -> "list[Unit]":
    across = _number(width, profile.dots)
    if not isinstance(rows, (list, tuple)) or not across:
        raise ValueError("an image has a width and rows")
    stride = (across + 7) // 8
    for row in rows:
        if not isinstance(row, (bytes, bytearray)) or len(row) != stride:
            raise ValueError("an image row has " + str(stride) + " bytes")
    units = []
    for top in range(0, len(rows), BAND):
        band = b"".join(bytes(row) for row in rows[top : top + BAND])
        down = len(band) // stride
        head = b"\x1dv0\x00" + stride.to_bytes(2, "little") + down.to_bytes(2, "little")
        units.append((before + head + band, down))
    if units and before:
        units.append((b"\x1ba\x00", 0))
    return units


def _qr(text: str, profile: Profile) -> "list[Unit]":
    if profile.qr == "native":
        commands, rows = escpos_symbols.qr_native(text, profile.dots)
        # The quiet zone above and below is ours to leave; beside it there is paper enough.
        commands = b"\x1bJ\x18" + commands + b"\x1bJ\x18"
        return [(b"\x1ba\x01" + commands + b"\x1ba\x00", rows + 48)]
    width, picture = escpos_symbols.qr_picture(text, profile.dots)
    return _image(width, picture, profile, b"\x1ba\x01")
