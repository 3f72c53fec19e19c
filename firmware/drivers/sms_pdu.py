"""Received short messages: SMS-DELIVER units in hexadecimal digits (3GPP TS 23.040, 9.2.2.1)."""

from firmware.hal.mobile import ShortMessage

#: The GSM 7-bit default alphabet (TS 23.038, 6.2.1); its extension after ESC (6.2.1.1).
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {10: "\f", 20: "^", 40: "{", 41: "}", 47: "\\", 60: "[", 61: "~", 62: "]", 64: "|",
              101: "€"}  # fmt: skip


def _septets(data: bytes, count: int, skip: int = 0) -> "list[int]":
    """``count`` 7-bit values from the bit ``skip`` on (TS 23.038, 6.1.2.1)."""
    found = []
    for at in range(count):
        bit = skip + 7 * at
        low = data[bit // 8] >> (bit % 8)
        high = data[bit // 8 + 1] << (8 - bit % 8) if bit % 8 > 1 else 0
        found.append((low | high) & 0x7F)
    return found


def _gsm_text(values: "list[int]") -> str:
    text = ""
    escaped = False
    for value in values:
        if escaped:
            text += _EXTENSION.get(value, " ")
            escaped = False
        elif value == 27:
            escaped = True
        else:
            text += _BASIC[value]
    return text


def _utf16(data: bytes) -> str:
    """UCS2, with the surrogate pairs that phones really send."""
    text = ""
    at = 0
    while at + 1 < len(data):
        unit = data[at] << 8 | data[at + 1]
        at += 2
        if 0xD800 <= unit < 0xDC00 and at + 1 < len(data):
            low = data[at] << 8 | data[at + 1]
            if 0xDC00 <= low < 0xE000:
                at += 2
                text += chr(0x10000 + ((unit & 0x3FF) << 10 | low & 0x3FF))
                continue
        text += "?" if 0xD800 <= unit < 0xE000 else chr(unit)
    return text


def _number(octets: bytes, digits: int, kind: int) -> str:
    """An address (TS 23.040, 9.1.2.5): swapped semi-octets, or 7-bit text."""
    if kind & 0x70 == 0x50:
        return _gsm_text(_septets(octets, digits * 4 // 7))
    text = "+" if kind & 0x70 == 0x10 else ""
    for at in range(digits):
        value = octets[at // 2] >> 4 if at % 2 else octets[at // 2] & 0x0F
        text += "0123456789*#abc?"[value]
    return text


def _place(header: bytes) -> "tuple[int, int]":
    """(part, parts) from a user data header (TS 23.040, 9.2.3.24.1 and .8)."""
    at = 0
    while at + 1 < len(header):
        kind, size = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + size]
        if (kind == 0 and len(value) == 3) or (kind == 8 and len(value) == 4):
            parts, part = value[-2], value[-1]
            if 1 <= part <= parts:
                return part, parts
        at += 2 + size
    return 1, 1


def _stamp(octets: bytes) -> str:
    """The service centre's time stamp (TS 23.040, 9.2.3.11): swapped semi-octets, local
    time; "" for what is none. The last octet, its zone, is left out."""
    found = ""
    for at in range(6):
        tens, ones = octets[at] & 0x0F, octets[at] >> 4
        if tens > 9 or ones > 9:
            return ""
        found += ("20", "-", "-", " ", ":", ":")[at] + str(tens) + str(ones)
    return found


def parse(digits: bytes) -> ShortMessage:
    """The message in ``digits``, as +CMGL and +CMGR give it. ValueError for
    anything that is not a whole SMS-DELIVER."""
    if len(digits) % 2 or len(digits) > 512:
        raise ValueError("not a message unit")
    for digit in digits.upper():
        if digit not in b"0123456789ABCDEF":
            raise ValueError("not a message unit")
    raw = bytes([int(digits[at : at + 2], 16) for at in range(0, len(digits), 2)])
    try:
        return _deliver(raw[1 + raw[0] :])
    except IndexError:
        raise ValueError("the message unit is cut short") from None


def _deliver(unit: bytes) -> ShortMessage:
    first, length = unit[0], unit[1]
    if first & 3 != 0:
        raise ValueError("not a received message")
    end = 3 + (length + 1) // 2
    sender = _number(unit[3:end], length, unit[2])
    coding, size = unit[end + 1], unit[end + 9]
    stamp = _stamp(unit[end + 2 : end + 9])
    body = unit[end + 10 :]
    skip = 1 + body[0] if first & 0x40 else 0
    part, parts = _place(body[1:skip]) if skip else (1, 1)
    alphabet = coding & 0x0C if coding & 0xC0 == 0 else (8 if coding & 0xF0 == 0xE0 else 0)
    if coding & 0xF4 == 0xF4:
        alphabet = 4
    if alphabet == 0:
        lost = (skip * 8 + 6) // 7  # the header takes whole septets
        if size > 160 or lost > size:
            raise ValueError("the message has a wrong length")
        text = _gsm_text(_septets(body, size - lost, lost * 7))
        return ShortMessage(sender, text, part, parts, stamp)
    if size > 140 or len(body) < size or skip > size:
        raise ValueError("the message has a wrong length")
    text = _utf16(body[skip:size]) if alphabet == 8 else ""
    return ShortMessage(sender, text, part, parts, stamp)
