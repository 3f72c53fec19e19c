"""The journal on disk: frames with CRC-32, linked by SHA-256 (docs/journal.md).

A frame, numbers big-endian:

    0   2   magic A7 4A
    2   1   format version, 1
    3   1   flags: bit 0 critical
    4   2   kind
    6   2   length of the body
    8   2   how many records before this one were not yet known durable
    10  8   sequence
    18  8   first 8 bytes of the chain before this record
    26  n   body, CBOR
    26+n 4  CRC-32 (IEEE 802.3) of all before

The chain after a record is SHA-256(chain before || frame). A checkpoint frame
has the sequence of the last record before it and takes no part in the chain,
so that a PC's cursor (epoch, sequence, chain) means the same before and after
a segment roll-over.
"""

import hashlib

from firmware.cbor import CborError, decode

try:
    from binascii import crc32  # MicroPython ports have it here
except ImportError:  # a port without it: zlib is all that is left on CPython
    from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAGIC = b"\xa7\x4a"
VERSION = 1
HEAD = 26
TAIL = 4
#: Longest body of any frame, bytes (a checkpoint of a full batch).
MAX_FRAME_BODY = 28672
_CRITICAL = 1


class Frame:
    """One frame that verified. ``end``: offset after it; ``unsynced``: see above."""

    def __init__(
        self,
        start: int,
        end: int,
        version: int,
        critical: bool,
        kind: int,
        unsynced: int,
        sequence: int,
        link: bytes,
        body: bytes,
    ) -> None:
        self.start = start
        self.end = end
        self.version = version
        self.critical = critical
        self.kind = kind
        self.unsynced = unsynced
        self.sequence = sequence
        self.link = link
        self.body = body

    def content(self) -> "dict[int, Any] | None":
        """The decoded body, None if it is not a map (then the writer was not us)."""
        try:
            value = decode(self.body, max_size=MAX_FRAME_BODY)
        except CborError:
            return None
        return value if isinstance(value, dict) else None


def genesis(epoch: int) -> bytes:
    """The chain before an epoch's first record."""
    return hashlib.sha256(b"OpenTill journal epoch " + epoch.to_bytes(4, "big")).digest()


def chain(before: bytes, raw: bytes) -> bytes:
    """The chain after the frame ``raw``."""
    return hashlib.sha256(before + raw).digest()


def build(
    kind: int, critical: bool, sequence: int, unsynced: int, before: bytes, body: bytes
) -> bytes:
    """The bytes of a frame; ``before`` is the chain before it."""
    head = (
        MAGIC
        + bytes((VERSION, _CRITICAL if critical else 0))
        + kind.to_bytes(2, "big")
        + len(body).to_bytes(2, "big")
        + unsynced.to_bytes(2, "big")
        + sequence.to_bytes(8, "big")
        + before[:8]
    )
    raw = head + body
    return raw + (crc32(raw) & 0xFFFFFFFF).to_bytes(4, "big")


def parse(data: bytes, at: int) -> "Frame | None":
    """The frame that begins at ``at``, None if none verifies there."""
    if data[at : at + 2] != MAGIC or at + HEAD + TAIL > len(data):
        return None
    size = int.from_bytes(data[at + 6 : at + 8], "big")
    end = at + HEAD + size + TAIL
    if size > MAX_FRAME_BODY or end > len(data):
        return None
    stated = int.from_bytes(data[end - TAIL : end], "big")
    if crc32(data[at : end - TAIL]) & 0xFFFFFFFF != stated:
        return None
    return Frame(
        at,
        end,
        data[at + 2],
        bool(data[at + 3] & _CRITICAL),
        int.from_bytes(data[at + 4 : at + 6], "big"),
        int.from_bytes(data[at + 8 : at + 10], "big"),
        int.from_bytes(data[at + 10 : at + 18], "big"),
        bytes(data[at + 18 : at + 26]),
        bytes(data[at + HEAD : end - TAIL]),
    )


def find(data: bytes, at: int) -> "Frame | None":
    """The first frame that verifies at ``at`` or later."""
    while True:
        at = data.find(MAGIC, at)
        if at < 0:
            return None
        frame = parse(data, at)
        if frame is not None:
            return frame
        at += 1


class Scan:
    """What one segment's bytes hold.

    ``good``: the unbroken run of frames from the start; ``good_end``: where it
    ends; ``chains``: the chain after each of them; ``later``: frames that
    verify after a hole; ``synced``: the highest sequence that any frame says
    was durable when it was written.
    """

    def __init__(self) -> None:
        self.good: "list[Frame]" = []
        self.chains: "list[bytes]" = []
        self.good_end = 0
        self.later: "list[Frame]" = []
        self.synced = 0


def scan(data: bytes, before: "bytes | None", sequence: int) -> Scan:
    """Read a segment. ``before`` and ``sequence``: chain and last sequence
    before its first record; None takes the chain that the checkpoint states
    through its link unchecked (salvage)."""
    found = Scan()
    at = 0
    current = before
    last = sequence
    while at < len(data):
        frame = parse(data, at)
        if frame is None:
            break
        if current is not None and frame.link != current[:8]:
            break
        if frame.kind != 0:
            if frame.sequence != last + 1:
                break
            last = frame.sequence
            if current is not None:
                current = chain(current, data[at : frame.end])
        elif found.good:
            break  # a checkpoint stands only at the beginning
        found.good.append(frame)
        found.chains.append(current if current is not None else b"")
        found.synced = max(found.synced, frame.sequence - 1 - frame.unsynced)
        at = frame.end
    found.good_end = at
    if at < len(data):
        frame = find(data, at)
        while frame is not None:
            found.later.append(frame)
            found.synced = max(found.synced, frame.sequence - 1 - frame.unsynced)
            frame = find(data, frame.end)
    return found
