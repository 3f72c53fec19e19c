"""Frames between a host and a PN532 (NXP UM0701-02, 6.2.1), without I/O.

Normal frame: 00 00 FF LEN LCS TFI data DCS 00, where LEN counts TFI and data,
LEN + LCS and TFI + data + DCS are 0 modulo 256. Extended: FF FF stands in
place of LEN LCS, then a length of two bytes and its own check. ACK and NACK
have lengths that fail their check, the syntax error frame has TFI 7F alone.
Preamble and postamble may be any number of 00.
"""

#: TFI and data of one frame.
LONGEST = 265
#: The same with all that stands around it.
LONGEST_FRAME = LONGEST + 11
TO_CHIP = 0xD4
TO_HOST = 0xD5

ACK = b"\x00\x00\xff\x00\xff\x00"
NACK = b"\x00\x00\xff\xff\x00\x00"

_START = b"\x00\xff"


def _check(data: bytes) -> int:
    total = 0
    for byte in data:
        total += byte
    return -total & 0xFF


def encode(data: bytes, tfi: int = TO_CHIP) -> bytes:
    """An information frame; extended when it has to be. ValueError when too long."""
    length = len(data) + 1
    if length == 1 or length > LONGEST:
        raise ValueError("no PN532 frame carries " + str(len(data)) + " bytes")
    body = bytes((tfi,)) + data
    start = b"\x00\x00\xff"
    head = length.to_bytes(1 if length < 256 else 2, "big")
    if length > 255:
        start += b"\xff\xff"
    return start + head + bytes((_check(head),)) + body + bytes((_check(body), 0))


class FrameReader:
    """Finds frames in what arrives, whatever stands between them."""

    def __init__(self) -> None:
        self._held = b""

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and its end is awaited."""
        return len(self._held) > 1

    def clear(self) -> None:
        """Forget what is held."""
        self._held = b""

    def feed(self, part: bytes) -> None:
        """Bytes as they came."""
        self._held += part

    def next(self) -> "tuple[str, bytes] | None":
        """The next of what was fed: ("ack", b""), ("nack", b""), ("error", b""),
        ("data", TFI and data), ("bad", b"") for a start without a right frame
        behind it; None when more bytes are needed."""
        at = self._held.find(_START)
        if at < 0:
            # Noise goes; a 00 may be the first half of a start.
            self._held = b"\x00" if self._held[-1:] == b"\x00" else b""
            return None
        self._held = self._held[at:]
        held = self._held
        if len(held) < 4:
            return None
        length, check = held[2], held[3]
        if (length, check) == (0x00, 0xFF):
            return self._took(4, "ack")
        if (length, check) == (0xFF, 0x00):
            return self._took(4, "nack")
        begin = 4
        if (length, check) == (0xFF, 0xFF):
            if len(held) < 7:
                return None
            length, check = held[4] << 8 | held[5], held[6]
            right = not (held[4] + held[5] + check) & 0xFF
            begin = 7
        else:
            right = not (length + check) & 0xFF
        if not right or not 1 <= length <= LONGEST:
            return self._took(2, "bad")
        end = begin + length
        if len(held) <= end:
            return None
        body = held[begin:end]
        if length == 1 and body[0] == 0x7F and held[end] == 0x81:
            return self._took(end + 1, "error")
        if _check(body) != held[end] or length == 1:
            return self._took(2, "bad")
        self._held = held[end + 1 :]
        return "data", body

    def _took(self, count: int, kind: str) -> "tuple[str, bytes]":
        self._held = self._held[count:]
        return kind, b""
