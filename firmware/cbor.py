"""CBOR (RFC 8949) in one form only: the deterministic one of section 4.2.1.

Encoding gives the same bytes on every interpreter: shortest heads, definite
lengths, map keys in the bytewise order of their encodings. Decoding accepts
exactly what encoding can give and bounds depth, size and item count, so that
one value has one encoding. Values are int (-2**64 to 2**64 - 1), bytes, str,
list, dict with int or str keys, bool and None. No float exists here: money
never meets one.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP = 0, 1, 2, 3, 4, 5
_LIMIT = 1 << 64


class CborError(TillError):
    """The input is not our CBOR, or the value has no CBOR form here.

    ``offset``: the byte at which decoding failed; -1 when encoding failed.
    """

    text_key = "error.data"

    def __init__(self, reason: str, offset: int = -1) -> None:
        super().__init__(reason if offset < 0 else reason + " at offset " + str(offset))
        self.reason = reason
        self.offset = offset


def encode(obj: object, max_depth: int = 8) -> bytes:
    """The deterministic encoding of ``obj``; bytearray is taken as bytes, tuple as list.

    CborError for another type, an int beyond 64 bits, text that has no UTF-8
    form, or arrays and maps nested deeper than ``max_depth``.
    """
    out = bytearray()
    _put(out, obj, max_depth)
    return bytes(out)


def decode(
    data: bytes, max_depth: int = 8, max_size: int = 1 << 20, max_items: int = 1 << 16
) -> object:
    """The one value that ``data`` encodes; CborError for anything else.

    ``max_items`` bounds the count of values of every kind, keys included.
    Arrays come back as list, byte strings as bytes.
    """
    if len(data) > max_size:
        raise CborError("longer than " + str(max_size) + " bytes", max_size)
    reader = _Reader(data, max_items)
    value = reader.value(max_depth)
    if reader.at != len(data):
        raise CborError("bytes after the value", reader.at)
    return value


def _put_head(out: bytearray, major: int, number: int) -> None:
    """RFC 8949, 3 and 4.2.1: the shortest head."""
    top = major << 5
    if number < 24:
        out.append(top | number)
    elif number < 1 << 8:
        out.append(top | 24)
        out.append(number)
    elif number < 1 << 16:
        out.append(top | 25)
        out.extend(number.to_bytes(2, "big"))
    elif number < 1 << 32:
        out.append(top | 26)
        out.extend(number.to_bytes(4, "big"))
    else:
        out.append(top | 27)
        out.extend(number.to_bytes(8, "big"))


def _put(out: bytearray, obj: "Any", depth: int) -> None:
    if obj is None:
        out.append(0xF6)
    elif obj is True:
        out.append(0xF5)
    elif obj is False:
        out.append(0xF4)
    elif isinstance(obj, int):
        if not -_LIMIT <= obj < _LIMIT:
            raise CborError("integer beyond 64 bits")
        if obj >= 0:
            _put_head(out, _UINT, obj)
        else:
            _put_head(out, _NINT, -1 - obj)
    elif isinstance(obj, (bytes, bytearray)):
        _put_head(out, _BYTES, len(obj))
        out.extend(obj)
    elif isinstance(obj, str):
        try:
            raw = obj.encode("utf-8")
        except UnicodeError:
            raise CborError("text without a UTF-8 form") from None
        if len(raw) != len(obj):
            _check_utf8(raw, -1)
        _put_head(out, _TEXT, len(raw))
        out.extend(raw)
    elif isinstance(obj, (list, tuple)):
        if depth <= 0:
            raise CborError("nested too deep")
        _put_head(out, _ARRAY, len(obj))
        for item in obj:
            _put(out, item, depth - 1)
    elif isinstance(obj, dict):
        if depth <= 0:
            raise CborError("nested too deep")
        _put_map(out, obj, depth - 1)
    else:
        raise CborError("no CBOR form for " + type(obj).__name__)


def _put_map(out: bytearray, obj: "dict[Any, Any]", depth: int) -> None:
    _put_head(out, _MAP, len(obj))
    for key in _in_order(obj):
        _put(out, key, 0)
        _put(out, obj[key], depth)


def _in_order(obj: "dict[Any, Any]") -> "list[Any]":
    """The keys by their encoded bytes (RFC 8949, 4.2.1)."""
    counting = True
    for key in obj:
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise CborError("map key of type " + type(key).__name__)
        if isinstance(key, str) or key < 0:
            counting = False
    if counting:  # the shortest heads of whole numbers sort as the numbers do
        return sorted(obj)
    pairs = []
    for key in obj:
        head = bytearray()
        _put(head, key, 0)
        pairs.append((bytes(head), key))
    # By the encoded key alone: the keys themselves (int, str) do not compare.
    pairs.sort(key=lambda pair: pair[0])
    return [key for _, key in pairs]


def _check_utf8(raw: bytes, offset: int) -> None:
    """RFC 3629, 4. CPython checks this itself; MicroPython lets overlong forms,
    surrogates and numbers past U+10FFFF through."""
    if not raw or max(raw) < 0x80:
        return
    i = 0
    size = len(raw)
    while i < size:
        lead = raw[i]
        i += 1
        if lead < 0x80:
            continue
        if 0xC2 <= lead <= 0xDF:
            more, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            low = 0xA0 if lead == 0xE0 else 0x80
            high = 0x9F if lead == 0xED else 0xBF
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            low = 0x90 if lead == 0xF0 else 0x80
            high = 0x8F if lead == 0xF4 else 0xBF
        else:
            raise CborError("text is not UTF-8", offset)
        for _ in range(more):
            if i >= size or not low <= raw[i] <= high:
                raise CborError("text is not UTF-8", offset)
            low, high = 0x80, 0xBF
            i += 1


class _Reader:
    """A position in the input and the items still allowed."""

    def __init__(self, data: bytes, max_items: int) -> None:
        self._data = data
        self._left = max_items
        self.at = 0

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.at:
            raise CborError("input ends inside a value", len(self._data))
        part = self._data[self.at : self.at + count]
        self.at += count
        return bytes(part)

    def _number(self, info: int, start: int) -> int:
        if info < 24:
            return info
        if info > 27:
            reason = "indefinite length" if info == 31 else "reserved head"
            raise CborError(reason, start)
        width = 1 << (info - 24)
        number = int.from_bytes(self._take(width), "big")
        least = 24 if width == 1 else 1 << (4 * width)
        if number < least:
            raise CborError("not the shortest form", start)
        return number

    def value(self, depth: int) -> object:
        start = self.at
        if self._left <= 0:
            raise CborError("too many items", start)
        self._left -= 1
        first = self._take(1)[0]
        major = first >> 5
        info = first & 31
        if major == 7:
            if info == 20:
                return False
            if info == 21:
                return True
            if info == 22:
                return None
            raise CborError("float or simple value", start)
        if major == 6:
            raise CborError("tag", start)
        number = self._number(info, start)
        if major == _UINT:
            return number
        if major == _NINT:
            return -1 - number
        if major == _BYTES:
            return self._take(number)
        if major == _TEXT:
            raw = self._take(number)
            _check_utf8(raw, start)
            return raw.decode("utf-8")
        if depth <= 0:
            raise CborError("nested too deep", start)
        # An item takes a byte at least: a huge count is refused before it costs memory.
        items = number * 2 if major == _MAP else number
        if items > len(self._data) - self.at:
            raise CborError("input ends inside a value", len(self._data))
        if items > self._left:
            raise CborError("too many items", start)
        if major == _ARRAY:
            return [self.value(depth - 1) for _ in range(number)]
        return self._map(number, depth - 1)

    def _map(self, count: int, depth: int) -> "dict[Any, object]":
        result: "dict[Any, object]" = {}
        before = b""
        for _ in range(count):
            start = self.at
            kind = self._data[start] >> 5 if start < len(self._data) else _UINT
            if kind not in (_UINT, _NINT, _TEXT):
                raise CborError("map key is neither integer nor text", start)
            key = self.value(0)
            raw = bytes(self._data[start : self.at])
            if raw == before:
                raise CborError("duplicate map key", start)
            if raw < before:
                raise CborError("map keys out of order", start)
            before = raw
            result[key] = self.value(depth)
        return result
