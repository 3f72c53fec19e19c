"""Barcodes and QR codes for ESC/POS printers: check, size, command bytes."""

from firmware.text.check_digits import check_digit, is_digits

#: Kinds of a document's barcodes: (GS k m, shortest and longest data).
_KINDS = {
    "upca": (65, 11, 12),
    "ean13": (67, 12, 13),
    "ean8": (68, 7, 8),
    "code39": (69, 1, 30),
    "itf": (70, 2, 30),
    "code128": (73, 1, 60),
}
_CODE39 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"
#: Bytes that a QR code of version 1, 2 ... holds at level M (ISO/IEC 18004, table 7).
_QR_BYTES = (
    14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331, 362, 412, 450, 504, 560, 624, 666,
)  # fmt: skip
BAR_HEIGHT = 80


def barcode(kind: str, text: str, dots: int) -> "tuple[bytes, int]":
    """(commands, dot rows) of a barcode with its text below. ValueError: not printable."""
    if kind not in _KINDS:
        raise ValueError("no barcode " + repr(kind))
    number, shortest, longest = _KINDS[kind]
    if not shortest <= len(text) <= longest:
        raise ValueError(kind + " takes " + str(shortest) + " to " + str(longest) + " characters")
    data, modules = _data(kind, text, longest)
    module = 3
    while module > 1 and modules * module > dots:
        module -= 1
    if modules * module > dots:
        raise ValueError(kind + " " + repr(text) + " is wider than the paper")
    head = bytes((0x1D, 0x48, 2, 0x1D, 0x68, BAR_HEIGHT, 0x1D, 0x77, module))
    return head + bytes((0x1D, 0x6B, number, len(data))) + data + b"\n", BAR_HEIGHT + 54


def _data(kind: str, text: str, longest: int) -> "tuple[bytes, int]":
    """(data of GS k, modules across)."""
    if kind in ("upca", "ean13", "ean8"):
        if not is_digits(text):
            raise ValueError(kind + " takes digits only")
        if len(text) == longest and check_digit(text[:-1]) != text[-1]:
            raise ValueError(kind + " " + text + ": wrong check digit")
        if len(text) < longest:
            text += check_digit(text)
        return text.encode(), 67 if kind == "ean8" else 95
    if kind == "itf":
        if not is_digits(text) or len(text) % 2:
            raise ValueError("itf takes an even number of digits")
        return text.encode(), 9 * len(text) + 9
    if kind == "code39":
        if any(char not in _CODE39 for char in text):
            raise ValueError("code39 takes capitals, digits and -. $/+%")
        return text.encode(), 16 * (len(text) + 2)
    if any(not " " <= char <= "~" for char in text):
        raise ValueError("code128 takes printable ASCII")
    if is_digits(text) and len(text) % 2 == 0:
        pairs = bytes(int(text[i : i + 2]) for i in range(0, len(text), 2))
        return b"{C" + pairs, 11 * (len(pairs) + 2) + 13
    return b"{B" + text.replace("{", "{{").encode(), 11 * (len(text) + 2) + 13


def qr_native(text: str, dots: int) -> "tuple[bytes, int]":
    """(commands, dot rows) of a QR code that the printer draws. ValueError: too long."""
    data = text.encode()
    if not data:
        raise ValueError("an empty QR code")
    version = 1
    for room in _QR_BYTES:
        if len(data) <= room:
            break
        version += 1
    else:
        raise ValueError("a QR code of " + str(len(data)) + " bytes is too long")
    size = 17 + 4 * version
    module = min(6, dots // (size + 8))
    if module < 2:
        raise ValueError("the QR code is wider than the paper")
    store = (len(data) + 3).to_bytes(2, "little")
    commands = (
        b"\x1d(k\x04\x001A2\x00"
        + b"\x1d(k\x03\x001C"
        + bytes((module,))
        + b"\x1d(k\x03\x001E1"
        + b"\x1d(k"
        + store
        + b"1P0"
        + data
        + b"\x1d(k\x03\x001Q0"
    )
    return commands, size * module


def qr_picture(text: str, dots: int) -> "tuple[int, list[bytes]]":
    """(width, rows) of a QR code as a picture with its quiet zone. ValueError: too long."""
    from firmware.text import qr  # large, and only some printers need it

    size, matrix = qr.picture(text)
    module = min(6, dots // size)
    if module < 2:
        raise ValueError("the QR code is wider than the paper")
    width = size * module
    rows = []
    for line in matrix:
        row = bytearray((width + 7) // 8)
        for x in range(size):
            if line[x]:
                for dot in range(x * module, (x + 1) * module):
                    row[dot >> 3] |= 0x80 >> (dot & 7)
        for _ in range(module):
            rows.append(bytes(row))
    return width, rows
