"""The UnionPay terminal interface as the bank reads it, by pyiso8583.

The terminal has its own codec (``firmware.payment.host``); nothing here is
shared with it, so that one misreading cannot confirm itself.

A frame on the wire is a 2-byte length, TPDU (5 bytes: 60, destination,
source), header (6 bytes BCD), MTI, bitmap, fields. ``parse`` and ``build``
work on the frame without its length prefix.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import iso8583

#: Longest frame that the bank takes or sends, bytes after the length prefix.
MAX_FRAME = 2048

_ENVELOPE = 11  # TPDU and header


def _n(digits: int) -> dict[str, Any]:
    return {
        "data_enc": "b",
        "len_enc": "bcd",
        "len_type": 0,
        "len_count": "nibbles",
        "right_pad": "0",
        "max_len": digits,
        "desc": f"n{digits}",
    }


def _n_left(digits: int) -> dict[str, Any]:
    # Field 23 alone is packed to the right: the pad stands before it.
    spec = _n(digits)
    del spec["right_pad"]
    spec["left_pad"] = "0"
    return spec


def _n_var(digits: int, length_bytes: int, pad: str = "0") -> dict[str, Any]:
    spec = _n(digits)
    spec.update(len_type=length_bytes, right_pad=pad, desc=f"n..{digits}")
    return spec


def _text(size: int, length_bytes: int = 0) -> dict[str, Any]:
    # Latin-1 keeps every byte: names and notes arrive in GBK.
    return {
        "data_enc": "latin-1",
        "len_enc": "bcd",
        "len_type": length_bytes,
        "max_len": size,
        "desc": f"ans{size}",
    }


def _binary(size: int, length_bytes: int = 0) -> dict[str, Any]:
    return {
        "data_enc": "b",
        "len_enc": "bcd",
        "len_type": length_bytes,
        "max_len": size,
        "desc": f"b{size}",
    }


def _spec(track_pad: str) -> dict[str, dict[str, Any]]:
    spec = {
        "h": _binary(0),
        "t": _n(4),
        "p": _binary(8),
        "2": _n_var(19, 1),
        "3": _n(6),
        "4": _n(12),
        "11": _n(6),
        "12": _n(6),
        "13": _n(4),
        "14": _n(4),
        "15": _n(4),
        "22": _n(3),
        "23": _n_left(3),
        "25": _n(2),
        "26": _n(2),
        "32": _n_var(11, 1),
        "35": _n_var(37, 1, track_pad),
        "36": _n_var(104, 2, track_pad),
        "37": _text(12),
        "38": _text(6),
        "39": _text(2),
        "41": _text(8),
        "42": _text(15),
        "44": _text(25, 1),
        "48": _n_var(322, 2),
        "49": _text(3),
        "52": _binary(8),
        "53": _n(16),
        "54": _text(20, 2),
        "55": _binary(255, 2),
        "58": _text(100, 2),
        "59": _text(600, 2),
        "60": _n_var(17, 2),
        "61": _n_var(29, 2),
        "62": _binary(999, 2),
        "63": _text(163, 2),
        "64": _binary(8),
    }
    return spec


# Acquirers differ in the last nibble of an odd track: 0 or F.
_SPECS = tuple(_spec(pad) for pad in "0F")

#: Fields whose decoded form is digits (or hex for the binary ones) only.
_NUMERIC = (2, 3, 4, 11, 12, 13, 14, 15, 22, 23, 25, 26, 32, 53, 60, 61)


class WireError(Exception):
    """A frame that cannot be read. ``partial`` holds what was, by field number."""

    def __init__(self, text: str, partial: "Message | None" = None) -> None:
        super().__init__(text)
        self.partial = partial


@dataclass
class Message:
    """One message. Numeric and binary fields are digits or upper-case hex,
    the others text (Latin-1 for the bytes)."""

    mti: str
    fields: dict[int, str] = field(default_factory=dict)
    tpdu: bytes = bytes.fromhex("6000000000")
    header: bytes = bytes.fromhex("600000000000")
    #: MTI to field 63 as they stood on the wire, or "" before building.
    mac_input: bytes = b""

    def get(self, number: int) -> str:
        """The field, or "" when absent."""
        return self.fields.get(number, "")

    def binary(self, number: int) -> bytes:
        """A binary field's bytes, b"" when absent."""
        return bytes.fromhex(self.get(number))

    @property
    def kind(self) -> str:
        """60.1, message type code."""
        return self.get(60)[:2]

    @property
    def batch(self) -> str:
        """60.2, batch number."""
        return self.get(60)[2:8]

    @property
    def network_code(self) -> str:
        """60.3, network management code."""
        return self.get(60)[8:11]


def _fields(decoded: Mapping[str, str]) -> dict[int, str]:
    return {int(key): value for key, value in decoded.items() if key.isdigit() and key != "1"}


def _decode(body: bytes) -> Mapping[str, str]:
    failure: iso8583.DecodeError | None = None
    for spec in _SPECS:
        try:
            return iso8583.decode(body, spec)[0]
        except iso8583.DecodeError as error:
            failure = failure or error
            if error.field not in ("35", "36"):
                break
    assert failure is not None
    raise failure


def parse(frame: bytes) -> Message:
    """Read a frame without its length prefix. WireError."""
    if not _ENVELOPE + 10 <= len(frame) <= MAX_FRAME:
        raise WireError(f"a frame of {len(frame)} bytes")
    tpdu, header, body = frame[:5], frame[5:_ENVELOPE], frame[_ENVELOPE:]
    if tpdu[0] != 0x60:
        raise WireError(f"TPDU starts with {tpdu[0]:02X}, not 60")
    if body[2] & 0x80:
        raise WireError("bitmap asks for more than 64 fields")
    try:
        decoded = _decode(body)
    except iso8583.DecodeError as error:
        partial = None
        if len(error.doc_dec.get("t", "")) == 4:
            known = _fields(error.doc_dec)
            known.pop(int(error.field) if error.field.isdigit() else 0, None)
            partial = Message(error.doc_dec["t"], _only_sound(known), tpdu, header)
        raise WireError(str(error), partial) from error
    except KeyError as error:
        # pyiso8583 looks up a field that this dialect does not have.
        raise WireError(f"field {error.args[0]} is not of this dialect") from error
    fields = _fields(decoded)
    sound = _only_sound(fields)
    mac_input = body[:-8] if 64 in fields else body
    message = Message(decoded["t"], fields, tpdu, header, mac_input)
    if len(sound) != len(fields):
        bad = sorted(set(fields) - set(sound))
        message.fields = sound
        raise WireError(f"field {bad[0]} is not numeric", message)
    if not message.mti.isdecimal():
        raise WireError(f"MTI {message.mti}")
    return message


def _only_sound(fields: dict[int, str]) -> dict[int, str]:
    """Without the numeric fields that hold other nibbles than digits."""
    return {
        number: value
        for number, value in fields.items()
        if number not in _NUMERIC or value.isdecimal()
    }


def build(message: Message) -> bytes:
    """Write a frame without its length prefix and set ``mac_input``.

    Field 64, when present, is taken as it is; put a placeholder there to
    learn ``mac_input`` first, because the bitmap announces it.
    """
    document = {str(number): value for number, value in message.fields.items()}
    document["t"] = message.mti
    document["h"] = ""
    raw, _ = iso8583.encode(document, _SPECS[0])
    body = bytes(raw)
    message.mac_input = body[:-8] if 64 in message.fields else body
    return message.tpdu + message.header + body


def with_length(frame: bytes) -> bytes:
    """The frame behind its 2-byte length, as it goes on the wire."""
    return len(frame).to_bytes(2, "big") + frame


def swapped(tpdu: bytes) -> bytes:
    """The answer's TPDU: destination and source change places."""
    return tpdu[:1] + tpdu[3:5] + tpdu[1:3]


#: Fields that a log never holds in clear.
_SECRET = (35, 36, 52, 62)


def masked(message: Message) -> dict[str, str]:
    """The message for logs and the ledger: PAN cut to first 6 and last 4,
    tracks, PIN block and keys left out, card data objects without PAN."""
    shown = {"mti": message.mti}
    for number, value in sorted(message.fields.items()):
        if number == 2:
            value = masked_pan(value)
        elif number in _SECRET:
            value = f"({len(value)})"
        elif number == 55 and ("5A" in value or "57" in value):
            value = f"({len(value) // 2} bytes, may hold a PAN)"
        shown[str(number)] = value
    return shown


def masked_pan(pan: str) -> str:
    """First 6 and last 4 digits."""
    return pan[:6] + "*" * max(0, len(pan) - 10) + pan[-4:] if len(pan) > 10 else "*" * len(pan)
