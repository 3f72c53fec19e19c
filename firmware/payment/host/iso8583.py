"""ISO 8583:1987 messages, coded by a dialect table compiled into closures.

A dialect says for each field what it holds, how it is written and how long it
may be; ``Codec`` turns a row into an encoder or a decoder when it first meets
the field (field_codec.py). Decoding is strict: whatever is not exactly what the table
allows is refused with an error that names the field and the byte offset.
Lengths of numeric and track fields count digits, of everything else bytes.
"""

from binascii import hexlify, unhexlify

from firmware.payment.host.field_codec import Field, compile_decoder, compile_encoder, printable
from firmware.payment.host.format_error import Iso8583Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.host.field_codec import Decoder, Encoder, Value

__all__ = ("Codec", "Dialect", "Field", "Iso8583Error", "Message")

#: Bitmaps seen lately whose field list is kept. A peer that sends ever new
#: bitmaps only makes decoding slower, never larger.
_PLANS = 24


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


class Codec:
    """Encoder and decoder of one dialect. Thread-safe, holds no message."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._packed = dialect.packed
        self._last = 128 if dialect.secondary else 64
        self._rows: "dict[int, Field]" = {}
        for row in dialect.fields:
            if not 2 <= row.number <= self._last or row.number in self._rows:
                raise Iso8583Error("twice in the dialect, or out of its range", row.number)
            self._rows[row.number] = row
        self._encoders: "dict[int, Encoder]" = {}
        self._decoders: "dict[int, Decoder]" = {}
        self._plans: "dict[bytes, list[tuple[int, Decoder]]]" = {}

    def forget(self) -> None:
        """Give the memory of what was compiled back (some 300 bytes a field on a
        microcontroller); the next message has it compiled again."""
        self._encoders.clear()
        self._decoders.clear()
        self._plans.clear()

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
                row = self._rows.get(number)
                if row is None:
                    raise Iso8583Error("not in dialect " + self.dialect.name, number)
                encoder = encoders[number] = compile_encoder(row, self._packed)
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
        mti = hexlify(data[:at]).decode() if self._packed else printable(data[:at])
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
                row = self._rows.get(number)
                if row is None:
                    reason = "names field " + str(number) + ", not in dialect " + self.dialect.name
                    raise Iso8583Error(reason, number, place, "bitmap")
                decoder = self._decoders[number] = compile_decoder(row, self._packed)
            plan.append((number, decoder))
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        self._plans[data[start:end]] = plan
        return plan
