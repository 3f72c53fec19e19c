"""The frame around a message: two-byte length, TPDU, six-byte header.

The length counts what follows it. The TPDU (ISO 8583 over ISO 8073 class 0,
as UnionPay terminals use it) is 60, destination, source; an answer swaps the
two. The header is kept as bytes: its digits are named in unionpay.py.
"""

from firmware.payment.host.iso8583 import Iso8583Error

TPDU_BYTES = 5
HEADER_BYTES = 6
PREFIX_BYTES = 2 + TPDU_BYTES + HEADER_BYTES

#: Longest message that a terminal accepts: the largest UnionPay answer (field
#: 62 of 999 bytes and all others full) stays under 3,000 bytes.
MAX_FRAME = 4096


class Frame:
    """``body``: the message from its MTI on."""

    def __init__(self, tpdu: bytes, header: bytes, body: bytes) -> None:
        self.tpdu = tpdu
        self.header = header
        self.body = body


def encode_frame(frame: Frame) -> bytes:
    """The frame as sent. Iso8583Error when a part has the wrong size."""
    if len(frame.tpdu) != TPDU_BYTES:
        raise Iso8583Error("not 5 bytes", part="TPDU")
    if len(frame.header) != HEADER_BYTES:
        raise Iso8583Error("not 6 bytes", part="header")
    content = frame.tpdu + frame.header + frame.body
    if len(content) > MAX_FRAME:
        raise Iso8583Error("over " + str(MAX_FRAME) + " bytes", part="length")
    return len(content).to_bytes(2, "big") + content


def _check_length(length: int, offset: int) -> None:
    # A message has at least an MTI and a bitmap: 10 bytes.
    if length < TPDU_BYTES + HEADER_BYTES + 10:
        raise Iso8583Error(str(length) + " is too short for a message", 0, offset, "length")
    if length > MAX_FRAME:
        raise Iso8583Error(str(length) + " is over " + str(MAX_FRAME), 0, offset, "length")


def decode_frame(data: bytes) -> Frame:
    """One whole frame, nothing before or after it."""
    if len(data) < 2:
        raise Iso8583Error("cut short", 0, 0, "length")
    length = int.from_bytes(data[:2], "big")
    _check_length(length, 0)
    if length != len(data) - 2:
        reason = "says " + str(length) + " bytes, " + str(len(data) - 2) + " follow"
        raise Iso8583Error(reason, 0, 0, "length")
    if data[2] != 0x60:
        raise Iso8583Error("does not begin with 60", 0, 2, "TPDU")
    end = 2 + TPDU_BYTES
    return Frame(data[2:end], data[end:PREFIX_BYTES], data[PREFIX_BYTES:])


def swapped(tpdu: bytes) -> bytes:
    """The TPDU of the answer: destination and source change places."""
    return tpdu[:1] + tpdu[3:5] + tpdu[1:3]


class FrameReader:
    """Cuts a byte stream into frames. Holds at most one frame's bytes and
    what came with it in the same read. Not usable after an error."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self._held += data

    def next(self) -> "Frame | None":
        """The next whole frame, None when more bytes are needed. Iso8583Error
        as soon as a length is impossible."""
        held = self._held
        if len(held) < 2:
            return None
        length = int.from_bytes(held[:2], "big")
        _check_length(length, 0)
        if len(held) < 2 + length:
            return None
        self._held = held[2 + length :]
        return decode_frame(held[: 2 + length])
