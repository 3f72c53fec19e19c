"""BER-TLV as EMV uses it (EMV 4.4 Book 3, Annex B).

Bytes 00 and FF before, between and after objects are padding. FF could also
open a private tag: a run of FF is always padding, and a lone FF opens a tag
only where no EMV object can follow it (next byte 01 to 3F, or 81 with the
contactless kernels' FF8101 to FF810F). So FF FF FF 9F57 is padding and 9F57.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: A tag of more bytes than this is an error (EMV knows one to three).
MAX_TAG_BYTES = 4
#: A length field of more bytes than this is an error (its value could not be held).
MAX_LENGTH_BYTES = 3


class TlvError(TillError):
    """The bytes are not TLV. ``offset`` is that of the byte which is wrong."""

    text_key = "error.card_data"

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail + " at offset " + str(offset))
        self.reason = detail
        self.offset = offset


class Node:
    """One data object. ``value`` holds the content octets of a template too.

    ``children`` is None for a primitive object; ``offset`` is where the tag
    begins in the parsed bytes.
    """

    __slots__ = ("children", "offset", "tag", "value")

    def __init__(self, tag: int, value: bytes, children: "list[Node] | None", offset: int) -> None:
        self.tag = tag
        self.value = value
        self.children = children
        self.offset = offset

    def __repr__(self) -> str:
        return f"Node({self.tag:X}, {len(self.value)} bytes)"


def _after_ff(data: bytes, at: int, end: int) -> int:
    """Where to go on after the FF at ``at``; ``at`` itself when it opens a tag."""
    stop = at + 1
    while stop < end and data[stop] == 0xFF:
        stop += 1
    if stop - at == 1 and stop < end:
        following = data[stop]
        if 1 <= following <= 0x3F:
            return at
        if following == 0x81 and stop + 1 < end and 1 <= data[stop + 1] <= 0x0F:
            return at
    return stop


def _tag_tail(data: bytes, start: int, end: int) -> "tuple[int, int]":
    """The (tag, position after it) of a tag of two and more bytes."""
    tag = data[start]
    at = start + 1
    while True:
        if at >= end:
            raise TlvError("tag runs past the end", start)
        byte = data[at]
        tag = tag << 8 | byte
        at += 1
        if byte < 0x80:
            return tag, at
        if at - start >= MAX_TAG_BYTES:
            raise TlvError(f"tag longer than {MAX_TAG_BYTES} bytes", start)


def _long_length(data: bytes, at: int, end: int) -> "tuple[int, int]":
    """The (length, position after it) of a length field that begins 8x."""
    count = data[at] & 0x7F
    if count == 0:
        raise TlvError("indefinite length", at)
    if count > MAX_LENGTH_BYTES:
        raise TlvError(f"length field of {count} bytes", at)
    if at + 1 + count > end:
        raise TlvError("length runs past the end", at)
    return int.from_bytes(data[at + 1 : at + 1 + count], "big"), at + 1 + count


def _walk(data: bytes, at: int, end: int, depth: int, room: int) -> "tuple[list[Node], int]":
    """Objects in ``data[at:end]`` and how many more nodes may still be made."""
    nodes: "list[Node]" = []
    add = nodes.append
    while at < end:
        start = at
        tag = data[at]
        if tag == 0:
            at += 1
            continue
        if tag == 0xFF:
            at = _after_ff(data, at, end)
            if at != start:
                continue
        constructed = tag & 0x20
        if tag & 0x1F == 0x1F:
            if at + 1 < end and data[at + 1] < 0x80:
                tag = tag << 8 | data[at + 1]
                at += 2
            else:
                tag, at = _tag_tail(data, at, end)
        else:
            at += 1
        if at >= end:
            raise TlvError(f"tag {tag:X} has no length", start)
        length = data[at]
        if length < 0x80:
            at += 1
        else:
            length, at = _long_length(data, at, end)
        stop = at + length
        if stop > end:
            raise TlvError(f"tag {tag:X} has length {length}, only {end - at} bytes follow", start)
        room -= 1
        if room < 0:
            raise TlvError("too many objects", start)
        if constructed:
            if depth <= 0:
                raise TlvError("nested too deep", start)
            children, room = _walk(data, at, stop, depth - 1, room)
            add(Node(tag, data[at:stop], children, start))
        else:
            add(Node(tag, data[at:stop], None, start))
        at = stop
    return nodes, room


def parse(data: bytes, max_depth: int = 8, max_nodes: int = 512) -> "list[Node]":
    """Parse ``data`` to its objects, in order, duplicates kept.

    At most ``max_depth`` templates inside one another and ``max_nodes``
    objects in all. Raises TlvError naming what is wrong and where.
    """
    return _walk(bytes(data), 0, len(data), max_depth, max_nodes)[0]


def encode(tag: int, value: bytes) -> bytes:
    """One object with the shortest length field. ValueError for no valid tag."""
    return encode_tag(tag) + encode_length(len(value)) + value


def encode_tag(tag: int) -> bytes:
    """The bytes of a tag. ValueError when the number is no BER tag."""
    size = 1
    while tag >> (8 * size):
        size += 1
    raw = tag.to_bytes(size, "big")
    good = tag > 0 and (raw[0] & 0x1F == 0x1F) == (size > 1)
    for index in range(1, size):
        if (raw[index] >= 0x80) != (index < size - 1):
            good = False
    if not good or size > MAX_TAG_BYTES:
        raise ValueError(f"not a BER tag: {tag:X}")
    return raw


def encode_length(length: int) -> bytes:
    """The shortest definite length field."""
    if length < 0x80:
        return bytes((length,))
    size = 1
    while length >> (8 * size):
        size += 1
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


def find(nodes: "Sequence[Node]", tag: int) -> "Node | None":
    """The first object with ``tag``, depth first in order, or None."""
    for node in nodes:
        if node.tag == tag:
            return node
        if node.children:
            inner = find(node.children, tag)
            if inner is not None:
                return inner
    return None


def raw(data: bytes, node: Node) -> bytes:
    """The bytes of ``node`` in ``data`` that it was parsed from, header included."""
    at = node.offset
    if data[at] & 0x1F == 0x1F:
        at += 1
        while data[at] >= 0x80:
            at += 1
    at += 1
    at += 1 + (data[at] & 0x7F if data[at] >= 0x80 else 0)
    return bytes(data[node.offset : at + len(node.value)])
