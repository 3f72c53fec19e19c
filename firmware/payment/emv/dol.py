"""Data object lists (EMV 4.4 Book 3, 5.4)."""

from firmware.payment.emv.dictionary import FORMATS
from firmware.payment.emv.tlv import MAX_TAG_BYTES, TlvError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Longest data that a command built from a DOL can carry (Book 3, 5.4; 6.3.2).
MAX_DATA = 252


def parse(dol: bytes) -> "list[tuple[int, int]]":
    """(tag, length) of each entry. TlvError with the offset when malformed."""
    entries: "list[tuple[int, int]]" = []
    at = 0
    end = len(dol)
    while at < end:
        start = at
        tag = dol[at]
        if tag & 0x1F == 0x1F:
            while True:
                at += 1
                if at >= end or at - start >= MAX_TAG_BYTES:
                    raise TlvError("tag in a DOL is cut or too long", start)
                tag = tag << 8 | dol[at]
                if dol[at] < 0x80:
                    break
        at += 1
        if at >= end:
            raise TlvError(f"tag {tag:X} in a DOL has no length", start)
        entries.append((tag, dol[at]))
        at += 1
    return entries


def fit(tag: int, value: bytes, size: int) -> bytes:
    """``value`` brought to ``size`` bytes by the rules of its format.

    Numeric: leading bytes cut or leading zeros added; compressed numeric:
    trailing bytes cut or FF added; all others: trailing bytes cut or zeros
    added.
    """
    length = len(value)
    if length == size:
        return value
    kind = FORMATS.get(tag, "b")
    if length > size:
        return value[length - size :] if kind == "n" else value[:size]
    if kind == "n":
        return bytes(size - length) + value
    if kind == "cn":
        return value + b"\xff" * (size - length)
    return value + bytes(size - length)


def build(dol: bytes, value: "Callable[[int], bytes | None]") -> bytes:
    """The data for ``dol``. Unknown, absent and constructed objects are zeros.

    TlvError for a malformed list or one that asks for more than MAX_DATA.
    """
    parts: "list[bytes]" = []
    total = 0
    for tag, size in parse(dol):
        total += size
        if total > MAX_DATA:
            raise TlvError(f"a DOL asks for more than {MAX_DATA} bytes", 0)
        known = None if _constructed(tag) else value(tag)
        parts.append(bytes(size) if known is None else fit(tag, known, size))
    return b"".join(parts)


def _constructed(tag: int) -> bool:
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)
