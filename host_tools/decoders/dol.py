"""Data object lists (EMV 4.4 Book 3, 5.4)."""

from typing import Any

from firmware.payment.emv import dictionary, dol
from firmware.payment.emv.tlv import TlvError
from host_tools.decoders.common import BadInput, parse_hex


def decode(text: str) -> dict[str, Any]:
    """The list's entries and the length of the data that it asks for."""
    try:
        entries = dol.parse(parse_hex(text))
    except TlvError as error:
        raise BadInput(error.reason, error.offset) from None
    total = sum(length for _, length in entries)
    result: dict[str, Any] = {
        "entries": [
            {"tag": f"{tag:02X}", "name": dictionary.name(tag), "length": length}
            for tag, length in entries
        ],
        "total": total,
    }
    if total > dol.MAX_DATA:
        result["warnings"] = [f"asks for {total} bytes; a command carries {dol.MAX_DATA}"]
    return result


def render(result: dict[str, Any]) -> list[str]:
    """Readable lines."""
    lines = [
        f"{item['tag']} {item['name']}".rstrip() + f" ({item['length']})"
        for item in result["entries"]
    ]
    lines.append(f"{result['total']} bytes in all")
    return lines + [f"warning: {fault}" for fault in result.get("warnings", ())]
