"""ISO 8583:1987 messages, coded by a dialect table compiled into closures.

A dialect says for each field what it holds, how it is written and how long it
may be; ``Codec`` turns the table into one encoder and one decoder a field.
Decoding is strict: whatever is not exactly what the table allows is refused
with an error that names the field and the byte offset. Lengths of numeric and
track fields count digits, of everything else bytes.

Contents (ISO 8583:1987, 4.3): ``n`` digits, ``z`` track digits with ``D`` as
separator, ``an`` letters, digits and spaces, ``ans`` printable ASCII, ``text``
any printable bytes, one code point (U+0020 to U+00FF) a byte, because hosts
write national characters there, ``b`` bytes.
"""

from binascii import hexlify, unhexlify

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Value = str | bytes
    Encoder = Callable[[Value], bytes]
    Decoder = Callable[[bytes, int], tuple[Value, int]]

#: Bitmaps seen lately whose field list is kept. A peer that sends ever new
#: bitmaps only makes decoding slower, never larger.
_PLANS = 24

_HAS_ISASCII = hasattr(b"", "isascii")


class Iso8583Error(TillError):
    """A message or frame is malformed. ``field``: 0 for what is not a field
    (length, TPDU, header, MTI, bitmap); ``offset``: byte offset, None when encoding."""

    text_key = "error.host_format"

    def __init__(self, reason: str, field: int = 0, offset: "int | None" = None, part: str = ""):
        name = part or ("field " + str(field) if field else "message")
        place = "" if offset is None else " at offset " + str(offset)
        super().__init__(name + place + ": " + reason)
        self.reason = reason
        self.field = field
        self.offset = offset
        self.part = part


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


class Dialect:
    """``packed``: MTI and length prefixes as BCD, else ASCII digits.
    ``secondary``: fields 65 to 128 may exist."""

    def __init__(
        self, name: str, fields: "list[Field]", packed: bool = True, secondary: bool = False
    ) -> None:
        self.name = name
        self.fields = fields
        self.packed = packed
        self.secondary = secondary


class Message:
    """``mti``: four digits; ``fields``: number -> str, or bytes for content b.

    Its repr names the fields and never their values: messages carry PANs.
    """

    def __init__(self, mti: str, fields: "dict[int, str | bytes]") -> None:
        self.mti = mti
        self.fields = fields

    def __repr__(self) -> str:
        return "Message(" + self.mti + ", fields " + str(sorted(self.fields)) + ")"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.mti == other.mti and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]  # mutable, so not a dictionary key

    def text(self, number: int) -> str:
        """The field as text, "" when absent. Iso8583Error when it holds bytes."""
        value = self.fields.get(number, "")
        if isinstance(value, str):
            return value
        raise Iso8583Error("holds bytes, not text", number)

    def data(self, number: int) -> bytes:
        """The field as bytes, b"" when absent. Iso8583Error when it holds text."""
        value = self.fields.get(number, b"")
        if isinstance(value, bytes):
            return value
        raise Iso8583Error("holds text, not bytes", number)


def _text(raw: bytes) -> str:
    """Bytes as text, one code point a byte (MicroPython has no latin-1)."""
    return "".join([chr(byte) for byte in raw])


if _HAS_ISASCII:

    def _printable(raw: bytes) -> "str | None":
        """Printable ASCII as text, else None."""
        if not raw.isascii():
            return None
        text = raw.decode()
        return text if text.isprintable() else None

    def _alnum(text: str) -> bool:
        """Letters, digits and spaces only, of printable ASCII."""
        return text.isalnum() or text.replace(" ", "0").isalnum()

else:

    def _printable(raw: bytes) -> "str | None":
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
        text = _printable(raw)
        if text is None or (text and not _check(content, text)):
            raise Iso8583Error(_wrong(content), number, offset)
        return text

    return ascii_text


def _decoder(row: Field, packed_lengths: bool) -> "Decoder":
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
            digits = _printable(data[at:start])
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


def _encoder(row: Field, packed_lengths: bool) -> "Encoder":
    number, content, size, prefix = row.number, row.content, row.size, row.prefix
    halves, left, pad = row.packed, row.side == "left", row.pad
    prefixes: "list[bytes]" = []
    if prefix:
        for units in range(size + 1):
            digits = ("000" + str(units))[-prefix:]
            if packed_lengths:
                prefixes.append(unhexlify("0" + digits if prefix == 3 else digits))
            else:
                prefixes.append(digits.encode())

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
            return prefixes[units] + raw
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
    if _printable(raw) is None or (text and not _check(content, text)):
        raise Iso8583Error(_wrong(content), number)
    return raw


class Codec:
    """Encoder and decoder of one dialect. Thread-safe, holds no message."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._packed = dialect.packed
        self._last = 128 if dialect.secondary else 64
        self._encoders: "dict[int, Encoder]" = {}
        self._decoders: "dict[int, Decoder]" = {}
        for row in dialect.fields:
            if not 2 <= row.number <= self._last or row.number in self._encoders:
                raise Iso8583Error("twice in the dialect, or out of its range", row.number)
            self._encoders[row.number] = _encoder(row, dialect.packed)
            self._decoders[row.number] = _decoder(row, dialect.packed)
        self._plans: "dict[bytes, list[tuple[int, Decoder]]]" = {}

    def encode(self, message: Message) -> bytes:
        """Bytes from the MTI on. Iso8583Error names the field that does not fit."""
        mti = message.mti
        if len(mti) != 4 or not mti.isdigit():
            raise Iso8583Error("not four digits", part="MTI")
        fields = message.fields
        numbers = sorted(fields)
        encoders = self._encoders
        bits = 0
        parts: "list[bytes]" = []
        for number in numbers:
            encoder = encoders.get(number)
            if encoder is None:
                raise Iso8583Error("not in dialect " + self.dialect.name, number)
            bits |= 1 << (128 - number)
            parts.append(encoder(fields[number]))
        if bits & 0xFFFFFFFFFFFFFFFF:
            bitmap = (bits | 1 << 127).to_bytes(16, "big")
        else:
            bitmap = (bits >> 64).to_bytes(8, "big")
        try:
            head = unhexlify(mti) if self._packed else mti.encode()
        except ValueError:
            raise Iso8583Error("not four digits", part="MTI") from None
        return head + bitmap + b"".join(parts)

    def decode(self, data: bytes, base: int = 0) -> Message:
        """The message in ``data``, all of it. ``base`` is added to the offsets
        of errors, for a message inside a frame."""
        try:
            return self._decode(data)
        except Iso8583Error as error:
            if base and error.offset is not None:
                raise Iso8583Error(
                    error.reason, error.field, error.offset + base, error.part
                ) from None
            raise

    def _decode(self, data: bytes) -> Message:
        at = 2 if self._packed else 4
        if len(data) < at + 8:
            raise Iso8583Error("too short for MTI and bitmap", offset=len(data))
        mti = hexlify(data[:at]).decode() if self._packed else _printable(data[:at])
        if mti is None or not mti.isdigit():
            raise Iso8583Error("not four digits", offset=0, part="MTI")
        start = at
        at += 16 if data[at] & 0x80 and self._last == 128 else 8
        bitmap = data[start:at]
        plan = self._plans.get(bitmap)
        if plan is None:
            plan = self._plan(data, start, at)
        fields: "dict[int, Value]" = {}
        for number, decoder in plan:
            fields[number], at = decoder(data, at)
        if at != len(data):
            reason = str(len(data) - at) + " bytes after the last field"
            raise Iso8583Error(reason, offset=at)
        return Message(mti, fields)

    def _plan(self, data: bytes, start: int, end: int) -> "list[tuple[int, Decoder]]":
        if end > len(data):
            raise Iso8583Error("cut short", offset=start, part="bitmap")
        plan: "list[tuple[int, Decoder]]" = []
        for number in range(1, (end - start) * 8 + 1):
            place = start + (number - 1) // 8
            if not data[place] & (0x80 >> ((number - 1) & 7)):
                continue
            if number == 1 and self._last == 128:
                continue
            decoder = self._decoders.get(number)
            if decoder is None:
                reason = "names field " + str(number) + ", not in dialect " + self.dialect.name
                raise Iso8583Error(reason, number, place, "bitmap")
            plan.append((number, decoder))
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        self._plans[data[start:end]] = plan
        return plan
