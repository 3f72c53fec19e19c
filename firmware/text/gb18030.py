"""Unicode to GB 18030 and back, from a map that is read by offset.

The whole standard: one-byte ASCII, two-byte codes (GBK), four-byte codes
(the rest of the basic plane by runs, the other planes by arithmetic).
"""

from firmware.errors import TillError
from firmware.text.data_file import DataFile

_SUPPLEMENT = 189000  # linear number of U+10000, the code 90 30 81 30
_DECODE_BYTES = 126 * 190 * 2


class Gb18030Error(TillError):
    """Bytes that are not GB 18030; ``offset`` is the place."""

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail + " at byte " + str(offset))
        self.offset = offset


class _Map:
    """The open map with its small parts in memory (under 2 KiB)."""

    def __init__(self) -> None:
        self.file = DataFile("gb18030.bin", b"OTG1")
        count = self.file.u16(4)
        self.pages = self.file.read(6, 256)
        #: First code point, its linear number, length: u16 each, rising in both. As bytes,
        #: for a tuple a run would lie all over a microcontroller's heap.
        self._runs = self.file.read(262, 6 * count)
        self.decode_at = 262 + 6 * count
        self.pages_at = self.decode_at + _DECODE_BYTES

    def across(self, value: int, column: int) -> int:
        """Along the runs from code points (``column`` 0) to linear numbers, or back (1);
        -1 outside of them."""
        runs = self._runs
        low, high = 0, len(runs) // 6
        while low < high:
            middle = (low + high) // 2
            at = 6 * middle
            first = int.from_bytes(runs[at + 2 * column : at + 2 * column + 2], "little")
            past = value - first
            if past < 0:
                high = middle
            elif past < int.from_bytes(runs[at + 4 : at + 6], "little"):
                at += 2 * (1 - column)
                return int.from_bytes(runs[at : at + 2], "little") + past
            else:
                low = middle + 1
        return -1


_open: "list[_Map]" = []


def _map() -> _Map:
    if not _open:
        _open.append(_Map())
    return _open[0]


def prepare() -> None:
    """Open the map now. It stays, so a microcontroller is best asked before its heap fills.
    DataFileError."""
    _map()


def _four(linear: int) -> bytes:
    linear, d = divmod(linear, 10)
    linear, c = divmod(linear, 126)
    a, b = divmod(linear, 10)
    return bytes([a + 0x81, b + 0x30, c + 0x81, d + 0x30])


def encode_char(point: int) -> bytes:
    """The code of one code point, 1, 2 or 4 bytes. ``?`` for a lone surrogate."""
    if point < 0x80:
        return bytes([point])
    if point >= 0x10000:
        return _four(_SUPPLEMENT + point - 0x10000)
    table = _map()
    page = table.pages[point >> 8]
    if page:
        code = table.file.u16(table.pages_at + (page - 1) * 512 + (point & 0xFF) * 2)
        if code:
            return code.to_bytes(2, "big")
    linear = table.across(point, 0)
    return b"?" if linear < 0 else _four(linear)


def encode(text: str) -> bytes:
    """``text`` in GB 18030."""
    out = bytearray()
    for char in text:
        out += encode_char(ord(char))
    return bytes(out)


def is_double_byte(char: str) -> bool:
    """Whether a printer's Chinese mode (GBK) knows this character by two bytes."""
    point = ord(char)
    # GBK has the whole block of Unicode 1.1; what else it has, the map knows.
    return 0x4E00 <= point <= 0x9FA5 or len(encode_char(point)) == 2


def _decode_two(lead: int, trail: int) -> int:
    if not 0x81 <= lead <= 0xFE or not 0x40 <= trail <= 0xFE or trail == 0x7F:
        return 0
    table = _map()
    column = trail - 0x40 - (1 if trail > 0x7F else 0)
    return table.file.u16(table.decode_at + ((lead - 0x81) * 190 + column) * 2)


def _decode_four(code: bytes) -> int:
    a, b, c, d = code
    good = 0x81 <= a <= 0xFE and 0x30 <= b <= 0x39 and 0x81 <= c <= 0xFE and 0x30 <= d <= 0x39
    if not good:
        return 0
    linear = (((a - 0x81) * 10 + b - 0x30) * 126 + c - 0x81) * 10 + d - 0x30
    if linear >= _SUPPLEMENT:
        point = linear - _SUPPLEMENT + 0x10000
        return point if point <= 0x10FFFF else 0
    return max(_map().across(linear, 1), 0)


def decode(data: bytes) -> str:
    """The text of GB 18030 bytes. Raises Gb18030Error with the offset."""
    out = []
    at = 0
    while at < len(data):
        lead = data[at]
        if lead < 0x80:
            out.append(chr(lead))
            at += 1
            continue
        four = at + 1 < len(data) and 0x30 <= data[at + 1] <= 0x39
        size = 4 if four else 2
        point = 0
        if at + size <= len(data):
            code = data[at : at + size]
            point = _decode_four(code) if four else _decode_two(code[0], code[1])
        if not point:
            raise Gb18030Error("not GB 18030", at)
        out.append(chr(point))
        at += size
    return "".join(out)
