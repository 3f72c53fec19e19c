"""Reads X11 PCF bitmap fonts, as Debian's font packages hold them (build time only)."""

import gzip
import struct
from pathlib import Path

from host_tools.errors import UserError

_PROPERTIES, _METRICS, _BITMAPS, _ENCODINGS = 1, 4, 8, 32
_BIG_ENDIAN, _BIT_MSB, _COMPRESSED = 4, 8, 0x100


class PcfGlyph:
    """One character: ``rows`` of pixels as integers, bit ``width - 1`` is the left one.

    ``left`` is the bearing from the origin, ``ascent`` rows stand above the baseline.
    """

    def __init__(self, left: int, width: int, ascent: int, rows: list[int]) -> None:
        self.left = left
        self.width = width
        self.ascent = ascent
        self.rows = rows


class PcfFont:
    """A font file: ``properties`` and glyphs by the font's own character codes."""

    def __init__(self, path: Path) -> None:
        self._data = gzip.decompress(path.read_bytes())
        if self._data[:4] != b"\1fcp":
            raise UserError(f"{path}: not a PCF font")
        self._tables: dict[int, tuple[int, int]] = {}
        (count,) = struct.unpack_from("<I", self._data, 4)
        for i in range(count):
            kind, form, _, offset = struct.unpack_from("<IIII", self._data, 8 + 16 * i)
            self._tables[kind] = (form, offset)
        self.properties = self._read_properties()
        self._encodings = self._read_encodings()
        self._metrics = self._read_metrics()
        self._bitmaps = self._read_bitmap_places()

    def _table(self, kind: int) -> tuple[str, int, int]:
        form, offset = self._tables[kind]
        return (">" if form & _BIG_ENDIAN else "<"), form, offset + 4

    def _read_properties(self) -> dict[str, str | int]:
        order, _, at = self._table(_PROPERTIES)
        (count,) = struct.unpack_from(order + "I", self._data, at)
        rows = [struct.unpack_from(order + "IBI", self._data, at + 4 + 9 * i) for i in range(count)]
        at += 4 + 9 * count
        at += -(9 * count) % 4
        strings = self._data[at + 4 :]

        def text(offset: int) -> str:
            return strings[offset : strings.index(0, offset)].decode("latin-1")

        return {text(name): text(value) if kind else value for name, kind, value in rows}

    def _read_encodings(self) -> dict[int, int]:
        order, _, at = self._table(_ENCODINGS)
        low2, high2, low1, high1, _ = struct.unpack_from(order + "5h", self._data, at)
        at += 10
        found: dict[int, int] = {}
        for high in range(low1, high1 + 1):
            for low in range(low2, high2 + 1):
                (glyph,) = struct.unpack_from(order + "H", self._data, at)
                at += 2
                if glyph != 0xFFFF:
                    found[high << 8 | low] = glyph
        return found

    def _read_metrics(self) -> list[tuple[int, ...]]:
        order, form, at = self._table(_METRICS)
        if form & _COMPRESSED:
            (count,) = struct.unpack_from(order + "H", self._data, at)
            return [
                tuple(byte - 0x80 for byte in self._data[at + 2 + 5 * i : at + 7 + 5 * i])
                for i in range(count)
            ]
        (count,) = struct.unpack_from(order + "I", self._data, at)
        return [struct.unpack_from(order + "5h", self._data, at + 4 + 12 * i) for i in range(count)]

    def _read_bitmap_places(self) -> list[int]:
        order, form, at = self._table(_BITMAPS)
        if not form & _BIT_MSB:
            raise UserError("PCF font with its least significant bit first: not supported")
        (count,) = struct.unpack_from(order + "I", self._data, at)
        base = at + 4 + 4 * count + 16
        return [
            base + struct.unpack_from(order + "I", self._data, at + 4 + 4 * i)[0]
            for i in range(count)
        ]

    def codes(self) -> list[int]:
        """The character codes that have a glyph, in the font's own charset."""
        return sorted(self._encodings)

    def glyph(self, code: int) -> PcfGlyph | None:
        """The glyph of ``code``, None when the font has none."""
        index = self._encodings.get(code)
        if index is None:
            return None
        left, right, _, ascent, descent = self._metrics[index]
        width = right - left
        form, _ = self._tables[_BITMAPS]
        pad = 1 << (form & 3)
        stride = (width + 8 * pad - 1) // (8 * pad) * pad
        # Bytes within a scan unit may be swapped against the bit order.
        unit = 1 << (form >> 4 & 3)
        swap = unit > 1 and not form & _BIG_ENDIAN
        rows = []
        at = self._bitmaps[index]
        for y in range(ascent + descent):
            raw = self._data[at + y * stride : at + (y + 1) * stride]
            if swap:
                raw = b"".join(raw[i : i + unit][::-1] for i in range(0, len(raw), unit))
            rows.append(int.from_bytes(raw, "big") >> (8 * stride - width) if width else 0)
        return PcfGlyph(left, width, ascent, rows)
