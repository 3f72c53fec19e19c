"""The live trace: APDUs and messages as entries that a person can read.

Entries are dicts ``{"kind", "title", "text", "fields": [[name, value], ...]}``.
Secrets are masked here, at the source: PIN data never appears, PAN and track
keep six and four digits (rules of money, 12 and 16).
"""

from typing import Any

from firmware.payment.emv import tlv

Entry = dict[str, Any]

INSTRUCTIONS = {
    0x20: "VERIFY",
    0x24: "CHANGE PIN",
    0x82: "EXTERNAL AUTHENTICATE",
    0x84: "GET CHALLENGE",
    0x88: "INTERNAL AUTHENTICATE",
    0xA4: "SELECT",
    0xA8: "GET PROCESSING OPTIONS",
    0xAE: "GENERATE AC",
    0xB2: "READ RECORD",
    0xC0: "GET RESPONSE",
    0xCA: "GET DATA",
    0xDA: "PUT DATA",
    0x16: "CARD BLOCK",
    0x18: "APPLICATION UNBLOCK",
    0x1E: "APPLICATION BLOCK",
}
#: Data objects that carry the PAN, track 2 or the cardholder's name.
SECRET = {0x5A, 0x57, 0x9F6B, 0x56, 0x5F20, 0x9F0B, 0x9F1F}


def mask_pan(digits: str) -> str:
    """First six and last four digits; the rest as stars."""
    if len(digits) < 11:
        return "*" * len(digits)
    return digits[:6] + "*" * (len(digits) - 10) + digits[-4:]


def mask_value(tag: int, value: bytes) -> str:
    """A data object's value for the trace."""
    text = value.hex().upper()
    if tag not in SECRET:
        return text
    if tag in (0x5A, 0x57, 0x9F6B):
        return mask_pan(text.split("D")[0].rstrip("F"))
    return f"({len(value)} bytes)"


def _rows(nodes: list[Any], depth: int = 0) -> list[list[str]]:
    rows: list[list[str]] = []
    for node in nodes:
        name = "  " * depth + f"{node.tag:X}"
        if node.children is not None:
            rows.append([name, ""])
            rows += _rows(node.children, depth + 1)
        else:
            rows.append([name, mask_value(node.tag, node.value)])
    return rows


def _data_rows(data: bytes) -> list[list[str]]:
    if not data:
        return []
    try:
        return _rows(tlv.parse(data))
    except tlv.TlvError:
        return [["data", f"({len(data)} bytes, not TLV)"]]


def apdu_entry(command: bytes, response: bytes, busy_us: int) -> Entry:
    """One command and its response."""
    if len(command) < 2:
        return {"kind": "apdu", "title": "APDU", "text": "shorter than a header", "fields": []}
    ins = command[1]
    name = INSTRUCTIONS.get(ins, f"INS {ins:02X}")
    header = command[:4].hex(" ").upper()
    data, sw = response[:-2], response[-2:].hex().upper()
    fields: list[list[str]] = [["header", header]]
    body = command[5:] if len(command) > 5 else b""
    if ins == 0x20:
        fields.append(["data", "(PIN block, never shown)"])
    elif body:
        fields.append(
            ["command data", body.hex().upper() if ins == 0xA4 else f"({len(body)} bytes)"]
        )
    fields += _data_rows(data)
    fields.append(["card time", f"{busy_us // 1000} ms"])
    return {"kind": "apdu", "title": name, "text": f"{header} -> {sw}", "fields": fields}


def note(title: str, text: str = "") -> Entry:
    """A line about the bench itself."""
    return {"kind": "note", "title": title, "text": text, "fields": []}


def message_entry(frame: bytes, direction: str) -> Entry:
    """One ISO 8583 frame with its length prefix, decoded field by field and masked."""
    from host_tools.decoders import iso8583
    from host_tools.decoders.common import BadInput

    try:
        decoded = iso8583.decode(frame.hex())
    except BadInput as error:
        return {"kind": "iso", "title": direction, "text": f"unreadable: {error}", "fields": []}
    fields = decoded["fields"]
    rows = [["TPDU", str(decoded["tpdu"])], ["header", str(decoded["header"])]]
    for number, value in fields.items():
        name = iso8583.FIELD_NAMES.get(int(number), "")
        rows.append([f"{number} {name}", str(value)])
        for part, text in (
            sorted(decoded["subfields"].get(number, {}).items())
            if isinstance(decoded["subfields"].get(number), dict)
            else []
        ):
            rows.append([f"    {part}", str(text)])
    words = [decoded["mti"]]
    if "11" in fields:
        words.append("STAN " + fields["11"])
    if "39" in fields:
        words.append("code " + fields["39"])
    return {"kind": "iso", "title": f"{decoded['mti']} {direction}", "text": "  ".join(words[1:]),
            "fields": rows}  # fmt: skip
