"""The PC's own reading of a journal's frames, from docs/journal.md.

It shares no code with the terminal's: a misreading on one end shows on the other.
"""

import hashlib
import struct
import zlib
from typing import Any, NamedTuple

import cbor2

MAGIC = b"\xa7\x4a"
#: magic, version, flags, kind, length of the body, unsynced, sequence, link
_HEAD = struct.Struct(">2sBBHHHQ8s")
_CRC = struct.Struct(">I")
#: The longest body of a record, bytes.
MOST_BODY = 2048
VERSION = 1


class Frame(NamedTuple):
    """A record's frame that verified. ``chain``: after it; empty where it is not known."""

    sequence: int
    kind: int
    critical: bool
    version: int
    raw: bytes
    chain: bytes


class BadFrames(Exception):
    """Frames that are not what the format says. ``good``: those before the first bad one."""

    def __init__(self, text: str, good: list[Frame]) -> None:
        super().__init__(text)
        self.good = good


def genesis(epoch: int) -> bytes:
    """The chain before an epoch's first record."""
    return hashlib.sha256(b"OpenTill journal epoch " + epoch.to_bytes(4, "big")).digest()


def read(data: bytes, first: int, chain: bytes) -> list[Frame]:
    """The frames in ``data``, one behind the other; ``chain``: before the first, whose sequence
    is ``first``. BadFrames."""
    found: list[Frame] = []
    at, expected, size = 0, first, len(data)
    while at < size:
        frame = _frame(data, at, found)
        if frame.sequence != expected:
            raise BadFrames(f"record {frame.sequence} stands where {expected} is due", found)
        if data[at + 18 : at + 26] != chain[:8]:
            raise BadFrames(f"record {expected} does not follow from the one before it", found)
        chain = hashlib.sha256(chain + frame.raw).digest()
        found.append(frame._replace(chain=chain))
        at += len(frame.raw)
        expected += 1
    return found


def alone(data: bytes, link: bytes) -> Frame:
    """The one frame that ``data`` is, of whose chain before it only the first 8 bytes are
    known. BadFrames."""
    frame = _frame(data, 0, [])
    if len(frame.raw) != len(data):
        raise BadFrames("more than one frame", [])
    if data[18:26] != link[:8]:
        raise BadFrames(f"record {frame.sequence} does not follow from what is said", [])
    return frame


def _frame(data: bytes, at: int, before: list[Frame]) -> Frame:
    if len(data) - at < _HEAD.size + _CRC.size:
        raise BadFrames("a frame is cut short", before)
    magic, version, flags, kind, body, _, sequence, _ = _HEAD.unpack_from(data, at)
    if magic != MAGIC:
        raise BadFrames("no frame where one is due", before)
    if kind == 0 or body > MOST_BODY:
        raise BadFrames(f"frame {sequence} is no record", before)
    end = at + _HEAD.size + body
    if end + _CRC.size > len(data):
        raise BadFrames(f"record {sequence} is cut short", before)
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(data[at:end]):
        raise BadFrames(f"the check sum of record {sequence} is wrong", before)
    return Frame(sequence, kind, bool(flags & 1), version, data[at : end + _CRC.size], b"")


def after(chain: bytes, raw: bytes) -> bytes:
    """The chain after the frame ``raw``."""
    return hashlib.sha256(chain + raw).digest()


def content(raw: bytes) -> dict[Any, Any] | None:
    """The map in a frame that verified; None if its body is none, or of another version."""
    if raw[2] != VERSION:
        return None
    try:
        value = cbor2.loads(
            raw[_HEAD.size : -_CRC.size],
            max_depth=8,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORDecodeError, ArithmeticError, ValueError, TypeError, MemoryError):
        return None
    return value if isinstance(value, dict) else None
