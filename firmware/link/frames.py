"""Frames: where a packet begins and ends, and whether it is whole (docs/link.md, Frames).

COBS, Consistent Overhead Byte Stuffing (S. Cheshire and M. Baker, IEEE/ACM Transactions
on Networking 7(2), 1999): a code byte n and n - 1 bytes that are not 00 stand for these
bytes and one 00; the code FF has 254 bytes and no 00. The 00 after the last byte is not
meant. So no byte of a frame is 00, and 00 parts frames. Behind the packet stands its
CRC-32 (IEEE 802.3, big endian).
"""

try:
    from binascii import crc32  # MicroPython ports have it here
except ImportError:  # a port without it: zlib is all that is left on CPython
    from zlib import crc32

_NUL = b"\x00"
_CODES = bytes(range(256))
_RUN = 254
#: Bytes of the CRC.
_TAIL = 4


def longest(packet: int) -> int:
    """Most bytes between two 00 for a packet of at most ``packet`` bytes."""
    whole = packet + _TAIL
    return whole + whole // _RUN + 1


def encode(packet: bytes) -> bytes:
    """The frame of a packet of 1 byte or more, 00 before and behind it."""
    whole = packet + (crc32(packet) & 0xFFFFFFFF).to_bytes(_TAIL, "big")
    parts = [_NUL]
    for run in whole.split(_NUL):
        while len(run) >= _RUN:
            parts.append(b"\xff")
            parts.append(run[:_RUN])
            run = run[_RUN:]
        parts.append(_CODES[len(run) + 1 : len(run) + 2])
        parts.append(run)
    parts.append(_NUL)
    return b"".join(parts)


def _unstuff(run: "bytes | bytearray") -> "bytearray | None":
    """What ``run``, without any 00, stands for; None if its codes lead past its end."""
    out = bytearray()
    at = 0
    end = len(run)
    while at < end:
        code = run[at]
        following = at + code
        if following > end:
            return None
        out += run[at + 1 : following]
        if code <= _RUN and following < end:
            out += _NUL
        at = following
    return out


class FrameReader:
    """Finds packets in what came, whatever stands between them.

    ``most``: bytes of the longest packet that is taken. It holds at most ``longest(most)``
    bytes from one ``feed`` to the next. ``dropped`` counts what stood between two 00 and
    was no whole frame.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._longest = longest(most)
        self._part = bytearray()
        self._too_long = False
        self.dropped = 0

    @property
    def held(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._part)

    def clear(self) -> None:
        """Forget a frame that is not complete: the pipe is a new one."""
        self._part = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> "list[bytes]":
        """Take what came; the packets that it completes."""
        packets: "list[bytes]" = []
        at = 0
        while True:
            end = data.find(_NUL, at)
            if end < 0:
                self._keep(data, at)
                return packets
            if self._too_long:  # counted when it became too long
                self._too_long = False
            elif self._part:
                if len(self._part) + end - at > self._longest:
                    self.dropped += 1
                else:
                    self._part += data[at:end]
                    self._whole(self._part, packets)
                self._part = bytearray()
            elif end > at:
                if end - at > self._longest:
                    self.dropped += 1
                else:
                    self._whole(data[at:end], packets)
            at = end + 1

    def _keep(self, data: bytes, at: int) -> None:
        if self._too_long or at == len(data):
            return
        if len(self._part) + len(data) - at > self._longest:
            self._too_long = True
            self.dropped += 1
            self._part = bytearray()
        else:
            self._part += data[at:]

    def _whole(self, run: "bytes | bytearray", packets: "list[bytes]") -> None:
        whole = _unstuff(run)
        if whole is not None and _TAIL < len(whole) <= self._most + _TAIL:
            packet = bytes(whole[:-_TAIL])
            if crc32(packet) & 0xFFFFFFFF == int.from_bytes(whole[-_TAIL:], "big"):
                packets.append(packet)
                return
        self.dropped += 1
