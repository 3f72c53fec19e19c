"""ISO 8583 frames and messages of a dialect, both ways."""

import copy
import functools
from collections.abc import Mapping
from typing import Any

from firmware.payment.emv import tlv as ber
from firmware.payment.host import subfields, unionpay
from firmware.payment.host.frame import PREFIX_BYTES, Frame, decode_frame, encode_frame
from firmware.payment.host.iso8583 import Codec, Dialect, Field, Iso8583Error, Message
from host_tools.command_line import Misuse
from host_tools.decoders import tlv
from host_tools.decoders.common import BadInput, Scrub, mask_pan, mask_track, parse_hex

#: Batch upload, whose field 48 holds card numbers.
_UPLOADS = ("0320", "0330")
#: Fewer digits are hidden whole where they stand, and may occur elsewhere by chance.
_SHORTEST_PAN = 13
#: Bytes of the parts of 63.2: the issuer's, UnionPay's, the acquirer's text, the terminal's.
_SIZES_63_2 = (20, 20, 20, 60)
#: What ``--dialect`` may say.
DIALECTS = ("unionpay",)

#: Readable names of fields (ISO 8583:1987, table 2; UnionPay's private ones).
FIELD_NAMES = {
    2: "primary account number",
    3: "processing code",
    4: "amount",
    11: "STAN",
    12: "local time",
    13: "local date",
    14: "expiry",
    15: "settlement date",
    22: "entry mode",
    23: "card sequence number",
    25: "service condition",
    26: "PIN length capability",
    32: "acquirer",
    35: "track 2",
    36: "track 3",
    37: "RRN",
    38: "authorisation code",
    39: "answer code",
    41: "terminal",
    42: "merchant",
    44: "issuer and acquirer",
    48: "totals and details",
    49: "currency",
    52: "PIN block",
    53: "security control",
    54: "balance",
    55: "EMV data",
    58: "electronic cash",
    59: "codes and auxiliary data",
    60: "type, batch, network code",
    61: "original transaction",
    62: "keys and parameters",
    63: "operator and text",
    64: "MAC",
}

#: How a message differs from the terminal's own packing, as in ``{"23": "left", "35": "F"}``.
#: Some acquirers pack field 23 to the left, as they do field 22; the standard packs it to
#: the right. The digit that fills an odd count is 0 or F.
Packing = dict[str, str]
_LEFT = ("23", "left")
_PACKED = {str(row.number): row for row in unionpay.codec().dialect.fields if row.packed}


@functools.lru_cache(maxsize=64)
def _codec(*packing: tuple[str, str]) -> Codec:
    """The dialect's codec with what ``packing`` changes."""
    if not packing:
        return unionpay.codec()
    rows = {row.number: copy.copy(row) for row in unionpay.codec().dialect.fields}
    for name, how in packing:
        if (name, how) == _LEFT:
            rows[23] = Field(23, "n", 0, 3, side="right")
        elif how == "F":
            rows[int(name)].pad = "F"
    return Codec(Dialect(unionpay.NAME, list(rows.values())))


def _filled_with_f(message: Message, body: bytes, packing: tuple[tuple[str, str], ...]) -> Packing:
    """The fields of ``message`` whose odd count of digits ``body`` filled with F."""
    odd = [
        name for name in _PACKED
        if len(str(message.fields.get(int(name), ""))) & 1 and (name, "left") not in packing
    ]  # fmt: skip
    plain = _codec(*packing).encode(message)
    found = {}
    for name in odd if plain != body else ():
        other = _codec(*packing, (name, "F")).encode(message)
        at = next(i for i in range(len(plain)) if other[i] != plain[i])
        if body[at] == other[at]:
            found[name] = "F"
    return found


def check_dialect(name: str) -> None:
    """Misuse names the dialects that there are."""
    if name not in DIALECTS:
        raise Misuse(f"--dialect: there is no {name!a}, only {', '.join(DIALECTS)}")


def _bad(error: Iso8583Error) -> BadInput:
    name = error.part or (f"field {error.field}" if error.field else "message")
    return BadInput(f"{name}: {error.reason}", error.offset)


def _message(body: bytes, base: int) -> tuple[Message, Packing]:
    """The message, and how its packing differs from ours."""
    packing: tuple[tuple[str, str], ...] = ()
    try:
        message = _codec().decode(body, base)
    except Iso8583Error as error:
        if error.field != 23:
            raise _bad(error) from None
        packing = (_LEFT,)
    else:
        # Sequence numbers of 10 and more are far rarer than single digits packed the other way.
        number = message.text(23)
        if number[:1] == "0" and number[2:] == "0" and number != "000":
            packing = (_LEFT,)
    if packing:
        try:
            message = _codec(*packing).decode(body, base)
        except Iso8583Error as error:
            raise _bad(error) from None
    return message, {**dict(packing), **_filled_with_f(message, body, packing)}


def decode(text: str, body: bool = False, mask: bool = True) -> dict[str, Any]:
    """A whole frame, or with ``body`` a message from its MTI on."""
    data = parse_hex(text)
    result: dict[str, Any] = {"mti": "", "tpdu": None, "header": None}
    base = 0
    if not body:
        try:
            frame = decode_frame(data)
        except Iso8583Error as error:
            raise _bad(error) from None
        result["tpdu"] = frame.tpdu.hex().upper()
        result["header"] = frame.header.hex().upper()
        result["header_fields"] = unionpay.header_digits(frame.header)
        data = frame.body
        base = PREFIX_BYTES
    message, packing = _message(data, base)
    result["mti"] = message.mti
    parts, faults = _subfields(message, mask)
    result["fields"] = {
        str(number): _shown(number, message.fields[number], mask, message.mti in _UPLOADS)
        for number in sorted(message.fields)
    }
    result["subfields"] = parts
    if mask:  # a host may repeat the PAN where no rule of this dialect looks for it
        scrub = Scrub(_pans(message))
        result["fields"], result["subfields"] = scrub.all(result["fields"]), scrub.all(parts)
    if faults:
        result["warnings"] = faults
    if packing:
        result["packing"] = packing
    return result


def _pans(message: Message) -> set[str]:
    """The PANs that a message names as such."""
    found = {str(message.fields.get(2, "")), str(message.fields.get(35, "")).partition("D")[0]}
    try:
        for node in ber.parse(bytes(message.data(55))) if 55 in message.fields else ():
            if node.tag in (0x5A, 0x57):
                found.add(node.value.hex().upper().partition("D")[0].rstrip("F"))
    except ber.TlvError:
        pass  # then the whole field is hidden
    return {pan for pan in found if len(pan) >= _SHORTEST_PAN and pan.isdigit()}


def _shown(number: int, value: str | bytes, mask: bool, upload: bool) -> str:
    """A field's value as text, its secrets hidden if ``mask``; ``upload``: of a batch."""
    if isinstance(value, bytes):
        text = value.hex().upper()
        if mask and number == 52:
            return "*" * len(text)
        if mask and number == 55:
            try:
                return tlv.shown(value, ber.parse(value), True)
            except ber.TlvError:
                return "*" * len(text)  # what cannot be read may be a PAN
        return text
    if mask:
        if number == 2:
            return mask_pan(value)
        if number == 35:
            return mask_track(value)
        if number == 36:
            return "*" * len(value)
        if number == 48:
            return _shown_rows(value, upload)
    return value


def _shown_rows(value: str, upload: bool) -> str:
    """Field 48 with the PANs of a batch upload hidden."""
    try:
        rows = subfields.split_48_rows(value)
    except Iso8583Error:
        return "*" * len(value) if upload else value  # rows that cannot be told apart hold PANs
    return subfields.join_48_rows([{**row, "pan": _mask_row(row["pan"])} for row in rows])


def _mask_row(pan: str) -> str:
    digits = pan.lstrip("0")
    return pan[: len(pan) - len(digits)] + mask_pan(digits)


def _subfields(message: Message, mask: bool) -> tuple[dict[str, Any], list[str]]:
    """Subfields by field number, and what could not be divided."""
    parts: dict[str, Any] = {}
    faults: list[str] = []
    for number, split in _SPLITTERS.items():
        if number not in message.fields:
            continue
        try:
            found = split(message, mask)
        except Iso8583Error as error:
            # The field itself is sound; hosts differ in what they put there.
            faults.append(str(error))
        else:
            if found is not None:
                parts[str(number)] = found
    return parts, faults


def _split_48(message: Message, mask: bool) -> Any:
    text = message.text(48)
    if message.mti in ("0500", "0510"):
        return subfields.split_48_totals(text)
    if message.mti in _UPLOADS and len(text) > 4:
        rows = subfields.split_48_rows(text)
        return [{**row, "pan": _mask_row(row["pan"])} if mask else row for row in rows]
    return None


def _split_55(message: Message, mask: bool) -> Any:
    data = message.data(55)
    nodes = subfields.split_55(data)
    return tlv.tree(data, nodes, tlv.shown(data, nodes, mask))


#: 60.3 of answers whose field 62 is a status digit, then CA keys or chip parameters.
_LISTS = ("370", "372", "380", "382")


def _split_62(message: Message, mask: bool) -> Any:
    data = message.data(62)
    if message.mti == "0810" and message.text(60)[8:11] in ("001", "003", "004", "005"):
        keys = subfields.split_62_keys(data)
        return {name: value.hex().upper() for name, value in keys.items()}
    if message.mti in ("0810", "0830") and message.text(60)[8:11] in _LISTS and data:
        try:
            nodes = ber.parse(data[1:])
        except ber.TlvError as error:
            raise Iso8583Error("TLV: " + error.reason, 62, error.offset + 1) from None
        return {
            "status": chr(data[0]),
            "objects": tlv.tree(data[1:], nodes, data[1:].hex().upper()),
        }
    if data and all(0x20 <= byte < 0x7F for byte in data):
        return {"text": data.decode("ascii")}
    return None


def _split_63(message: Message, mask: bool) -> Any:
    parts = subfields.split_63(message.text(63))
    if "63.2" in parts:
        raw = parts["63.2"].encode("latin-1")
        at = 0
        for row, size in enumerate(_SIZES_63_2 if len(raw) > _SIZES_63_2[0] else (), 1):
            if raw[at:]:
                parts[f"63.2.{row}"] = _national(raw[at : at + size]).rstrip()
            at += size
        parts["63.2"] = _national(raw)
    return parts


def _national(raw: bytes) -> str:
    """GB18030 as text; one code point a byte where it is none."""
    try:
        return raw.decode("gb18030")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


_SPLITTERS: dict[int, Any] = {
    48: _split_48,
    54: lambda message, mask: subfields.split_54(message.text(54)),
    55: _split_55,
    60: lambda message, mask: subfields.split_60(message.text(60)),
    61: lambda message, mask: subfields.split_61(message.text(61)),
    62: _split_62,
    63: _split_63,
}


def _wanted_bytes(document: Mapping[str, Any], name: str) -> bytes:
    value = document.get(name)
    if not isinstance(value, str):
        raise BadInput(f"{name} is missing (give --body for a message alone)")
    try:
        return parse_hex(value)
    except BadInput as error:
        raise BadInput(f"{name}: {error.reason}", error.offset) from None


def _wanted_packing(packing: Any) -> list[tuple[str, str]]:
    """What differs from our packing. BadInput."""
    if not isinstance(packing, dict):
        raise BadInput('packing is not an object like {"23": "left", "35": "F"}')
    wanted = []
    for name, how in packing.items():
        if name not in _PACKED:
            raise BadInput(f"packing: {name!a} is not a packed field")
        sides = ("left", "right") if name == "23" else ()
        if how not in ("0", "F", *sides):
            raise BadInput(f"packing: field {name} is {how!a}, not {', '.join(('0', 'F', *sides))}")
        if how in ("left", "F"):
            wanted.append((name, how))
    return wanted


def encode(document: Any, body: bool = False) -> bytes:
    """Inverse of ``decode``: a frame, or a message alone when ``body`` or when
    the document has neither TPDU nor header. What ``decode`` adds for the
    reader (subfields, header_fields, warnings) is not needed and not read."""
    if not isinstance(document, dict):
        raise BadInput("not a JSON object with mti and fields")
    mti, given = document.get("mti"), document.get("fields")
    if not isinstance(mti, str):
        raise BadInput("mti is missing or not text")
    if not isinstance(given, dict):
        raise BadInput("fields is missing or not an object")
    codec = _codec(*_wanted_packing(document.get("packing", {})))
    content = {row.number: row.content for row in codec.dialect.fields}
    fields: dict[int, str | bytes] = {}
    for name, value in given.items():
        number = int(name) if name.isascii() and name.isdigit() and len(name) <= 3 else 0
        if str(number) != name or not number:
            raise BadInput(f"{name!a} is not a field number")
        if not isinstance(value, str):
            raise BadInput(f"field {number}: not text")
        if "*" in value and content.get(number) in ("n", "z", "b"):
            raise BadInput(f"field {number}: is masked (decode with --unmask)")
        fields[number] = _from_text(number, value) if content.get(number) == "b" else value
    try:
        encoded = codec.encode(Message(mti, fields))
        if body or (document.get("tpdu") is None and document.get("header") is None):
            return encoded
        tpdu, header = _wanted_bytes(document, "tpdu"), _wanted_bytes(document, "header")
        return encode_frame(Frame(tpdu, header, encoded))
    except Iso8583Error as error:
        raise _bad(error) from None


def _from_text(number: int, value: str) -> bytes:
    if not value:
        return b""
    try:
        return parse_hex(value)
    except BadInput as error:
        raise BadInput(f"field {number}: {error.reason}", error.offset) from None


def render(result: dict[str, Any]) -> list[str]:
    """Readable lines."""
    lines = [f"MTI    {result['mti']}"]
    if result["tpdu"] is not None:
        digits = ", ".join(f"{name} {value}" for name, value in result["header_fields"].items())
        lines.append(f"TPDU   {result['tpdu']}")
        lines.append(f"header {result['header']} ({digits})")
    for number, value in result["fields"].items():
        lines.append(f"{number:>3} {FIELD_NAMES.get(int(number), '')}: {value}")
        parts = result["subfields"].get(number)
        if number == "55" and parts is not None:
            lines.extend("      " + line for line in tlv.render(parts))
        elif isinstance(parts, dict):
            for name, part in parts.items():
                if name == "objects":
                    lines.extend("      " + line for line in tlv.render(part))
                else:
                    lines.append(f"      {name}: {part}")
        elif parts is not None:
            for row in parts:
                lines.append("      " + ", ".join(f"{key} {part}" for key, part in row.items()))
    for name, how in result.get("packing", {}).items():
        if how == "left":
            lines.append("note: field 23 is packed to the left; the standard packs it to the right")
        else:
            lines.append(f"note: field {name} is filled with F")
    lines.extend(f"warning: {fault}" for fault in result.get("warnings", ()))
    return lines
