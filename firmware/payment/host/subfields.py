"""Subfields of 48, 54, 60, 61, 62 and 63 of the UnionPay dialect, both ways.

``split_*`` give {"60.1": text, ...}; fields that may stop after any subfield
give only what is there. ``join_*`` are the inverses. All raise Iso8583Error
naming the field. Field 55 is TLV: ``split_55`` and ``join_55``.
"""

from firmware.payment.emv import tlv
from firmware.payment.host.iso8583 import Iso8583Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: (name, digits) in order.
LAYOUT_60 = (
    ("60.1", 2),  # message type code
    ("60.2", 6),  # batch
    ("60.3", 3),  # network management code
    ("60.4", 1),  # terminal read ability: 2 stripe, 5 chip, 6 contactless
    ("60.5", 1),  # chip condition: 0 none, 1 last read was good, 2 fallback
    ("60.6", 1),  # partial authorisation: 1 offered
    ("60.7", 3),  # account type
)
LAYOUT_61 = (
    ("61.1", 6),  # original batch
    ("61.2", 6),  # original STAN
    ("61.3", 4),  # original date, MMDD
    ("61.4", 2),  # original authorisation mode
    ("61.5", 11),  # original institution
)
#: Settlement totals (MTI 0500): home and foreign block, each debit amount and
#: count, credit amount and count, result 1 balanced, 2 not, 3 error.
LAYOUT_48_TOTALS = (
    ("48.1", 12),
    ("48.2", 3),
    ("48.3", 12),
    ("48.4", 3),
    ("48.5", 1),
    ("48.6", 12),
    ("48.7", 3),
    ("48.8", 12),
    ("48.9", 3),
    ("48.10", 1),
)
#: One row of a batch upload (MTI 0320): card type, STAN, PAN, amount.
LAYOUT_48_ROW = (("type", 2), ("stan", 6), ("pan", 20), ("amount", 12))
LAYOUT_54 = (
    ("54.1", 2),  # account type
    ("54.2", 2),  # amount type
    ("54.3", 3),  # currency
    ("54.4", 1),  # sign: C or D
    ("54.5", 12),  # amount, minor units
)

#: Most rows in one batch upload message.
MAX_ROWS = 8


def _split(
    number: int, text: str, layout: "Sequence[tuple[str, int]]", whole: bool = False
) -> "dict[str, str]":
    parts: "dict[str, str]" = {}
    at = 0
    for name, size in layout:
        if at == len(text) and not whole:
            break
        part = text[at : at + size]
        if len(part) != size:
            reason = "subfield " + name + " needs " + str(size) + " characters, has "
            raise Iso8583Error(reason + str(len(part)), number)
        parts[name] = part
        at += size
    if at != len(text):
        raise Iso8583Error(str(len(text) - at) + " characters after the last subfield", number)
    return parts


def _join(number: int, parts: "dict[str, str]", layout: "Sequence[tuple[str, int]]") -> str:
    text = ""
    ended = ""
    known = [name for name, _ in layout]
    for name in parts:
        if name not in known:
            raise Iso8583Error("has no subfield " + name, number)
    for name, size in layout:
        part = parts.get(name)
        if part is None:
            ended = ended or name
        elif ended:
            raise Iso8583Error("has " + name + " without " + ended, number)
        elif len(part) != size:
            raise Iso8583Error(name + " is not " + str(size) + " characters", number)
        else:
            text += part
    return text


def split_60(text: str) -> "dict[str, str]":
    """Field 60, up to the subfield where it stops."""
    return _split(60, text, LAYOUT_60)


def join_60(parts: "dict[str, str]") -> str:
    """Inverse of split_60; no gaps."""
    return _join(60, parts, LAYOUT_60)


def split_61(text: str) -> "dict[str, str]":
    """Field 61, up to the subfield where it stops."""
    return _split(61, text, LAYOUT_61)


def join_61(parts: "dict[str, str]") -> str:
    """Inverse of split_61; no gaps."""
    return _join(61, parts, LAYOUT_61)


def split_54(text: str) -> "dict[str, str]":
    """Field 54, one balance."""
    parts = _split(54, text, LAYOUT_54, whole=True)
    if parts["54.4"] not in ("C", "D") or not parts["54.5"].isdigit():
        raise Iso8583Error("is not a signed amount", 54)
    return parts


def join_54(parts: "dict[str, str]") -> str:
    """Inverse of split_54."""
    return _join(54, parts, LAYOUT_54)


def split_48_totals(text: str) -> "dict[str, str]":
    """Field 48 of a settlement (0500/0510)."""
    return _split(48, text, LAYOUT_48_TOTALS)


def join_48_totals(parts: "dict[str, str]") -> str:
    """Inverse of split_48_totals."""
    return _join(48, parts, LAYOUT_48_TOTALS)


def split_48_rows(text: str) -> "list[dict[str, str]]":
    """Field 48 of a stripe batch upload (0320): count, then as many rows."""
    width = sum([size for _, size in LAYOUT_48_ROW])
    if len(text) < 2 or not text[:2].isdigit():
        raise Iso8583Error("has no count", 48)
    count = int(text[:2])
    if count > MAX_ROWS:
        raise Iso8583Error(str(count) + " rows are over " + str(MAX_ROWS), 48)
    if len(text) != 2 + count * width:
        raise Iso8583Error("is not " + str(count) + " rows", 48)
    return [
        _split(48, text[2 + row * width : 2 + (row + 1) * width], LAYOUT_48_ROW, whole=True)
        for row in range(count)
    ]


def join_48_rows(rows: "list[dict[str, str]]") -> str:
    """Inverse of split_48_rows."""
    if len(rows) > MAX_ROWS:
        raise Iso8583Error(str(len(rows)) + " rows are over " + str(MAX_ROWS), 48)
    text = ("0" + str(len(rows)))[-2:]
    return text + "".join([_join(48, row, LAYOUT_48_ROW) for row in rows])


def split_55(data: bytes) -> "list[tlv.Node]":
    """Field 55, objects in order. A TLV error becomes Iso8583Error of field 55
    with the offset inside the field's data."""
    try:
        return tlv.parse(data)
    except tlv.TlvError as error:
        raise Iso8583Error("TLV: " + error.reason, 55, error.offset) from None


def join_55(objects: "Sequence[tuple[int, bytes]]") -> bytes:
    """Field 55 from (tag, value), in the order given; at most 255 bytes."""
    try:
        data = b"".join([tlv.encode(tag, value) for tag, value in objects])
    except ValueError as error:
        raise Iso8583Error(str(error), 55) from None
    if len(data) > 255:
        raise Iso8583Error("length " + str(len(data)) + " is over 255", 55)
    return data


def split_62_keys(data: bytes) -> "dict[str, bytes]":
    """Field 62 of a sign-in answer: PIN, MAC and track key as transmitted,
    each with its check value ("pin", "pin.kcv" ...), by the block's length."""
    if len(data) == 24:
        sizes = [("pin", 8), ("mac", 8)]
    elif len(data) == 40:
        sizes = [("pin", 16), ("mac", 16)]
    elif len(data) == 60:
        sizes = [("pin", 16), ("mac", 16), ("track", 16)]
    else:
        raise Iso8583Error(str(len(data)) + " bytes are no key block (24, 40 or 60)", 62)
    parts: "dict[str, bytes]" = {}
    at = 0
    for name, size in sizes:
        parts[name] = data[at : at + size]
        parts[name + ".kcv"] = data[at + size : at + size + 4]
        at += size + 4
    return parts


def join_62_keys(parts: "dict[str, bytes]") -> bytes:
    """Inverse of split_62_keys."""
    data = b""
    for name in ("pin", "mac", "track"):
        if name in parts:
            data += parts[name] + parts[name + ".kcv"]
    split_62_keys(data)
    return data


def split_63(text: str) -> "dict[str, str]":
    """Field 63: operator or card organisation, then free text if any."""
    if len(text) < 3:
        raise Iso8583Error("subfield 63.1 needs 3 characters, has " + str(len(text)), 63)
    parts = {"63.1": text[:3]}
    if len(text) > 3:
        parts["63.2"] = text[3:]
    return parts


def join_63(parts: "dict[str, str]") -> str:
    """Inverse of split_63."""
    if len(parts.get("63.1", "")) != 3:
        raise Iso8583Error("63.1 is not 3 characters", 63)
    return parts["63.1"] + parts.get("63.2", "")
