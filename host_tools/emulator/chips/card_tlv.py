"""BER-TLV and DOLs as the virtual card writes them (own code: it judges the terminal's)."""

Dol = tuple[tuple[int, int], ...]


def tag_bytes(tag: int) -> bytes:
    """The tag as it stands on the wire (0x9F26 -> 9F 26)."""
    return tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big")


def length_bytes(length: int) -> bytes:
    """Definite length in the shortest form."""
    if length < 0x80:
        return bytes([length])
    if length < 0x100:
        return bytes([0x81, length])
    return b"\x82" + length.to_bytes(2, "big")


def tlv(tag: int, *values: bytes) -> bytes:
    """One object; several values are joined (a template's children)."""
    value = b"".join(values)
    return tag_bytes(tag) + length_bytes(len(value)) + value


def dol_bytes(dol: Dol) -> bytes:
    """A data object list: tags and lengths, without values."""
    return b"".join(tag_bytes(tag) + bytes([length]) for tag, length in dol)


def dol_length(dol: Dol) -> int:
    """How many bytes the terminal sends for the list."""
    return sum(length for _, length in dol)


def dol_values(dol: Dol, data: bytes) -> dict[int, bytes]:
    """Split what the terminal sent. The caller has checked the length."""
    values: dict[int, bytes] = {}
    place = 0
    for tag, length in dol:
        values[tag] = data[place : place + length]
        place += length
    return values


def header_length(data: bytes) -> int:
    """Bytes of tag and length at the start of ``data``; 0 if there is no whole header."""
    place = 1
    if data and data[0] & 0x1F == 0x1F:
        while place < len(data) and data[place] & 0x80:
            place += 1
        place += 1
    if place >= len(data):
        return 0
    return place + 1 + (data[place] & 0x7F if data[place] & 0x80 else 0)


def garbled(data: bytes) -> bytes:
    """``data`` with its first inner object (or itself) longer than what follows."""
    outer = header_length(data)
    start = outer if outer and data[0] & 0x20 and outer < len(data) else 0
    place = start + 1
    if start < len(data) and data[start] & 0x1F == 0x1F:
        place += 1
    if place >= len(data):
        return data
    return data[:place] + b"\x7f" + data[place + 1 :]
