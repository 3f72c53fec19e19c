"""One field of a dialect, compiled into an encoder and a decoder.

Contents (ISO 8583:1987, 4.3): ``n`` digits, ``z`` track digits with ``D`` as
separator, ``an`` letters, digits and spaces, ``ans`` printable ASCII, ``text``
any printable bytes, one code point (U+0020 to U+00FF) a byte, because hosts
write national characters there, ``b`` bytes.
"""

from binascii import hexlify, unhexlify

from firmware.payment.host.format_error import Iso8583Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Value = str | bytes
    Encoder = Callable[[Value], bytes]
    Decoder = Callable[[bytes, int], tuple[Value, int]]

#: Length prefixes kept for a field.
_PREFIXES = 16

_HAS_ISASCII = hasattr(b"", "isascii")


class Field:
    """One row of a dialect.

    ``prefix``: digits of the length prefix (0 fixed, 2 LLVAR, 3 LLLVAR);
    ``size``: the length, or the largest one. ``packed``: n and z as BCD, two
    digits a byte, an odd digit count filled with ``pad`` on the ``side``
    "left" or "right"; else ASCII.
    """

    def __init__(
        self,
        number: int,
        content: str,
        prefix: int,
        size: int,
        packed: bool = True,
        side: str = "right",
        pad: str = "0",
    ) -> None:
        if content not in ("n", "z", "an", "ans", "text", "b"):
            raise Iso8583Error("unknown content " + content, number)
        if prefix not in (0, 2, 3) or not 0 < size < (1000, 1000, 100, 1000)[prefix]:
            raise Iso8583Error("impossible length in the dialect", number)
        self.number = number
        self.content = content
        self.prefix = prefix
        self.size = size
        self.packed = packed and content in ("n", "z")
        self.side = side
        self.pad = pad


def _text(raw: bytes) -> str:
    """Bytes as text, one code point a byte (MicroPython has no latin-1)."""
    return "".join([chr(byte) for byte in raw])


if _HAS_ISASCII:

    def printable(raw: bytes) -> "str | None":
        """Printable ASCII as text, else None."""
        if not raw.isascii():
            return None
        text = raw.decode()
        return text if text.isprintable() else None

    def _alnum(text: str) -> bool:
        """Letters, digits and spaces only, of printable ASCII."""
        return text.isalnum() or text.replace(" ", "0").isalnum()

else:

    def printable(raw: bytes) -> "str | None":
        """Printable ASCII as text, else None."""
        if raw and (min(raw) < 0x20 or max(raw) > 0x7E):
            return None
        return raw.decode()

    def _alnum(text: str) -> bool:
        """Letters, digits and spaces only, of printable ASCII."""
        return all(char == " " or char.isdigit() or char.isalpha() for char in text)


def _check(content: str, text: str) -> bool:
    """Whether ``text`` (already one printable byte a character) fits ``content``."""
    if content == "n":
        return text.isdigit()
    if content == "z":
        return text.replace("D", "").isdigit()
    if content == "an":
        return _alnum(text)
    return True


def _wrong(content: str) -> str:
    return {
        "n": "not decimal digits",
        "z": "not track digits",
        "an": "not letters, digits or spaces",
        "ans": "not printable ASCII",
        "text": "holds control characters",
        "b": "not bytes",
    }[content]


def _body_decoder(row: Field) -> "Callable[[bytes, int, int], Value]":
    """(raw bytes, units, offset for errors) -> value."""
    number, content, left = row.number, row.content, row.side == "left"

    if row.packed:

        def packed(raw: bytes, units: int, offset: int) -> "Value":
            text = hexlify(raw).decode()
            if units & 1:
                if left:
                    pad, text = text[0], text[1:]
                else:
                    pad, text = text[-1], text[:-1]
                if pad != "0" and pad != "f":
                    raise Iso8583Error("pad digit is not 0 or F", number, offset)
            if text.isdigit() or not text:
                return text
            if content == "z":
                text = text.upper()
                if text.replace("D", "").isdigit():
                    return text
            raise Iso8583Error(_wrong(content), number, offset)

        return packed

    if content == "b":

        def binary(raw: bytes, units: int, offset: int) -> "Value":
            return raw

        return binary

    if content == "text":

        def national(raw: bytes, units: int, offset: int) -> "Value":
            if raw and min(raw) >= 0x20 and 0x7F not in raw:
                return _text(raw)
            if not raw:
                return ""
            raise Iso8583Error(_wrong(content), number, offset)

        return national

    def ascii_text(raw: bytes, units: int, offset: int) -> "Value":
        text = printable(raw)
        if text is None or (text and not _check(content, text)):
            raise Iso8583Error(_wrong(content), number, offset)
        return text

    return ascii_text


def compile_decoder(row: Field, packed_lengths: bool) -> "Decoder":
    """(message, offset) -> (value, offset after the field)."""
    number, size, prefix, halves = row.number, row.size, row.prefix, row.packed
    body = _body_decoder(row)

    if not prefix:
        width = (size + 1) // 2 if halves else size

        def fixed(data: bytes, at: int) -> "tuple[Value, int]":
            end = at + width
            raw = data[at:end]
            if len(raw) != width:
                reason = "needs " + str(width) + " bytes, " + str(len(raw)) + " left"
                raise Iso8583Error(reason, number, at)
            return body(raw, size, at), end

        return fixed

    bytes_of_prefix = (prefix + 1) // 2 if packed_lengths else prefix

    def variable(data: bytes, at: int) -> "tuple[Value, int]":
        start = at + bytes_of_prefix
        if start > len(data):
            raise Iso8583Error("length is cut short", number, at)
        if packed_lengths:
            if bytes_of_prefix == 1:
                high = data[at]
                units = (high >> 4) * 10 + (high & 15)
                bad = (high & 15) > 9 or high > 0x99
            else:
                high, low = data[at], data[at + 1]
                units = high * 100 + (low >> 4) * 10 + (low & 15)
                bad = high > 9 or (low & 15) > 9 or low > 0x99
            if bad:
                raise Iso8583Error("length is not decimal", number, at)
        else:
            digits = printable(data[at:start])
            if digits is None or not digits.isdigit():
                raise Iso8583Error("length is not decimal", number, at)
            units = int(digits)
        if units > size:
            reason = "length " + str(units) + " is over " + str(size)
            raise Iso8583Error(reason, number, at)
        end = start + ((units + 1) // 2 if halves else units)
        if end > len(data):
            reason = "needs " + str(end - start) + " bytes, " + str(len(data) - start) + " left"
            raise Iso8583Error(reason, number, start)
        return body(data[start:end], units, start), end

    return variable


def _length(units: int, prefix: int, packed: bool) -> bytes:
    """The length prefix: ``prefix`` digits, as BCD or ASCII."""
    digits = ("000" + str(units))[-prefix:]
    if not packed:
        return digits.encode()
    return unhexlify("0" + digits if prefix == 3 else digits)


def compile_encoder(row: Field, packed_lengths: bool) -> "Encoder":
    """value -> length prefix and data."""
    number, content, size, prefix = row.number, row.content, row.size, row.prefix
    halves, left, pad = row.packed, row.side == "left", row.pad
    # Length prefixes made so far: all of them would take 100 KiB on a microcontroller.
    prefixes: "dict[int, bytes]" = {}

    def encode(value: "Value") -> bytes:
        if content == "b":
            if not isinstance(value, (bytes, bytearray)):
                raise Iso8583Error(_wrong(content), number)
            raw = bytes(value)
            units = len(raw)
        elif not isinstance(value, str):
            raise Iso8583Error("not text", number)
        elif halves:
            units = len(value)
            digits = value
            if content == "z" and not value.isdigit():
                digits = value.upper().replace("=", "D")
                if units and not digits.replace("D", "").isdigit():
                    raise Iso8583Error(_wrong(content), number)
            elif units and not value.isdigit():
                raise Iso8583Error(_wrong(content), number)
            if units & 1:
                digits = pad + digits if left else digits + pad
            try:
                raw = unhexlify(digits)
            except ValueError:  # isdigit() is also true of other scripts' digits
                raise Iso8583Error(_wrong(content), number) from None
        else:
            units = len(value)
            raw = _plain_bytes(value, content, number)
        if prefix:
            if units > size:
                raise Iso8583Error("length " + str(units) + " is over " + str(size), number)
            head = prefixes.get(units)
            if head is None:
                if len(prefixes) >= _PREFIXES:
                    prefixes.clear()
                head = prefixes[units] = _length(units, prefix, packed_lengths)
            return head + raw
        if units != size:
            raise Iso8583Error("length " + str(units) + " is not " + str(size), number)
        return raw

    return encode


def _plain_bytes(text: str, content: str, number: int) -> bytes:
    if content == "text":
        try:
            raw = bytes([ord(char) for char in text])
        except ValueError:
            raise Iso8583Error("holds a code point over U+00FF", number) from None
        if raw and (min(raw) < 0x20 or 0x7F in raw):
            raise Iso8583Error(_wrong(content), number)
        return raw
    try:
        raw = text.encode()
    except ValueError:  # half of a surrogate pair
        raise Iso8583Error(_wrong(content), number) from None
    if printable(raw) is None or (text and not _check(content, text)):
        raise Iso8583Error(_wrong(content), number)
    return raw
