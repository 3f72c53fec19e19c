"""BER-TLV, nested, with names."""

from collections.abc import Sequence
from typing import Any

from firmware.payment.emv import dictionary, tlv
from host_tools.decoders.common import BadInput, mask_object, parse_hex


def parse(data: bytes) -> list[tlv.Node]:
    """The objects in ``data``. BadInput with the byte's offset."""
    try:
        return tlv.parse(data)
    except tlv.TlvError as error:
        raise BadInput(error.reason, error.offset) from None


def _value_at(data: bytes, node: tlv.Node) -> int:
    """Where the node's value begins (its length field may be in long form)."""
    at = node.offset + len(tlv.encode_tag(node.tag))
    return at + 1 + (data[at] & 0x7F if data[at] & 0x80 else 0)


def shown(data: bytes, nodes: Sequence[tlv.Node], mask: bool) -> str:
    """Hex of ``data``; with ``mask``, PAN, tracks and PIN data are hidden."""
    text = data.hex().upper()
    if not mask:
        return text
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children or ())
        hidden = mask_object(node.tag, node.value)
        if hidden is not None:
            at = _value_at(data, node) * 2
            text = text[:at] + hidden + text[at + len(hidden) :]
    return text


def tree(data: bytes, nodes: Sequence[tlv.Node], text: str) -> list[dict[str, Any]]:
    """The objects as JSON; values are cut from ``text``, made by ``shown``."""
    result = []
    for node in nodes:
        at = _value_at(data, node)
        result.append(
            {
                "tag": f"{node.tag:02X}",
                "name": dictionary.name(node.tag),
                "length": len(node.value),
                "value": text[at * 2 : (at + len(node.value)) * 2],
                "children": tree(data, node.children or (), text),
            }
        )
    return result


def decode(text: str, mask: bool = False) -> dict[str, Any]:
    """The objects of a hexadecimal string, as the children of a root without a tag.

    There may be several at the outermost level, and every result is one object.
    """
    data = parse_hex(text)
    nodes = parse(data)
    return {"children": tree(data, nodes, shown(data, nodes, mask))}


def render_document(document: dict[str, Any]) -> list[str]:
    """What ``decode`` gave, as an indented tree."""
    return render(document["children"])


def render(objects: list[dict[str, Any]], depth: int = 0) -> list[str]:
    """An indented tree."""
    lines = []
    for item in objects:
        head = f"{'  ' * depth}{item['tag']} {item['name']}".rstrip()
        if item["children"]:
            lines.append(f"{head} ({item['length']} bytes)")
            lines.extend(render(item["children"], depth + 1))
        else:
            lines.append(f"{head} ({item['length']}): {item['value']}")
    return lines
