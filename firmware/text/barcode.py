"""Linear barcodes as modules, for printers that cannot draw them and for screens.

Kinds are those of hal.printer. A symbol is a string of ``1`` (bar) and ``0``
(space), one character a module, without its quiet zones.
"""

#: ISO/IEC 15417, table 1: widths of bars and spaces of values 0 to 105.
_CODE128 = (
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231"
    "113222123122123221223211221132221231213212223112312131311222321122321221312212322112322211"
    "212123212321232121111323131123131321112313132113132311211313231113231311112133112331132131"
    "113123113321133121313121211331231131213113213311213131311123311321331121312113312311332111"
    "314111221411431111111224111422121124121421141122141221112214112412122114122411142112142211"
    "241211221114413111241112134111111242121142121241114212124112124211411212421112421211212141"
    "214121412121111143111341131141114113114311411113411311113141114131311141411131211412211214"
    "211232"
)
_STOP128 = "2331112"
_START_B, _START_C, _CODE_C, _CODE_B = 104, 105, 99, 100

#: ISO/IEC 16388: nine elements a character, 1 is wide.
_CODE39_CHARS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. *$/+%"
_CODE39 = (
    0x034, 0x121, 0x061, 0x160, 0x031, 0x130, 0x070, 0x025, 0x124, 0x064,
    0x109, 0x049, 0x148, 0x019, 0x118, 0x058, 0x00D, 0x10C, 0x04C, 0x01C,
    0x103, 0x043, 0x142, 0x013, 0x112, 0x052, 0x007, 0x106, 0x046, 0x016,
    0x181, 0x0C1, 0x1C0, 0x091, 0x190, 0x0D0, 0x085, 0x184, 0x0C4, 0x094,
    0x0A8, 0x0A2, 0x08A, 0x02A,
)  # fmt: skip
#: ISO/IEC 16390: five elements a digit, 1 is wide.
_ITF = (0b00110, 0b10001, 0b01001, 0b11000, 0b00101, 0b10100, 0b01100, 0b00011, 0b10010, 0b01010)
#: ISO/IEC 15420: number set A; set B is its mirror image inverted, set C its inverse.
_EAN = (
    "0001101", "0011001", "0010011", "0111101", "0100011",
    "0110001", "0101111", "0111011", "0110111", "0001011",
)  # fmt: skip
#: Which of the left six digits use set B, by the first digit.
_EAN_PARITY = (0x00, 0x0B, 0x0D, 0x0E, 0x13, 0x19, 0x1C, 0x15, 0x16, 0x1A)
KINDS = ("code128", "ean13", "ean8", "upca", "code39", "itf")
_QUIET = 10


def modules(kind: str, text: str) -> str:
    """The symbol of ``text``. ValueError for what this kind cannot carry."""
    if kind == "code128":
        return _code128(text)
    if kind == "code39":
        return _code39(text)
    if kind == "itf":
        return _itf(text)
    if kind == "ean13":
        return _ean13(_with_check(text, 13))
    if kind == "upca":
        return _ean13("0" + _with_check(text, 12))
    if kind == "ean8":
        return _ean8(_with_check(text, 8))
    raise ValueError("no barcode " + kind)


def picture(kind: str, text: str, dots: int, height: int = 80) -> "tuple[int, list[bytes]]":
    """``(width, rows)`` of at most ``dots`` across, quiet zones included.

    Rows have eight dots a byte, leftmost in bit 7. ValueError when it does not fit.
    """
    bars = modules(kind, text)
    module = min(3, dots // (len(bars) + 2 * _QUIET))
    if module < 1:
        raise ValueError("the barcode is wider than the paper")
    width = (len(bars) + 2 * _QUIET) * module
    row = bytearray((width + 7) // 8)
    x = _QUIET * module
    for bar in bars:
        for dot in range(x, x + module):
            if bar == "1":
                row[dot >> 3] |= 0x80 >> (dot & 7)
        x += module
    return width, [bytes(row)] * height


def _digits(text: str) -> bool:
    return bool(text) and all("0" <= char <= "9" for char in text)


def check_digit(digits: str) -> str:
    """GS1 check digit (General Specifications, 7.9)."""
    total, weight = 0, 3
    for char in reversed(digits):
        total += int(char) * weight
        weight = 4 - weight
    return str(-total % 10)


def _with_check(text: str, length: int) -> str:
    if not _digits(text) or len(text) not in (length - 1, length):
        raise ValueError("takes " + str(length - 1) + " or " + str(length) + " digits")
    if len(text) == length - 1:
        return text + check_digit(text)
    if check_digit(text[:-1]) != text[-1]:
        raise ValueError("wrong check digit in " + text)
    return text


def _inverse(bits: str) -> str:
    return "".join("0" if bit == "1" else "1" for bit in bits)


def _mirror(bits: str) -> str:
    return "".join(reversed(bits))


def _ean13(digits: str) -> str:
    parity = _EAN_PARITY[int(digits[0])]
    out = "101"
    for i in range(6):
        code = _EAN[int(digits[1 + i])]
        out += _mirror(_inverse(code)) if parity & 0x20 >> i else code
    out += "01010"
    for char in digits[7:]:
        out += _inverse(_EAN[int(char)])
    return out + "101"


def _ean8(digits: str) -> str:
    left = "".join(_EAN[int(char)] for char in digits[:4])
    right = "".join(_inverse(_EAN[int(char)]) for char in digits[4:])
    return "101" + left + "01010" + right + "101"


def _widths(widths: str) -> str:
    """Bars and spaces in turn, beginning with a bar."""
    out = ""
    for i, width in enumerate(widths):
        out += ("0" if i % 2 else "1") * int(width)
    return out


def _code39(text: str) -> str:
    if not text or "*" in text:
        raise ValueError("code39 takes capitals, digits and -. $/+%")
    out = []
    for char in "*" + text + "*":
        at = _CODE39_CHARS.find(char)
        if at < 0:
            raise ValueError("code39 takes capitals, digits and -. $/+%")
        widths = "".join("3" if _CODE39[at] & 0x100 >> i else "1" for i in range(9))
        out.append(_widths(widths))
    return "0".join(out)


def _itf(text: str) -> str:
    if not _digits(text) or len(text) % 2:
        raise ValueError("itf takes an even number of digits")
    out = "1010"
    for i in range(0, len(text), 2):
        bars, spaces = _ITF[int(text[i])], _ITF[int(text[i + 1])]
        for k in range(5):
            out += ("111" if bars & 0x10 >> k else "1") + ("000" if spaces & 0x10 >> k else "0")
    return out + "11101"


def _run(text: str, at: int) -> int:
    """How many digits stand from ``at`` on."""
    end = at
    while end < len(text) and "0" <= text[end] <= "9":
        end += 1
    return end - at


def _code128(text: str) -> str:
    if not text or any(not " " <= char <= "~" for char in text):
        raise ValueError("code128 takes printable ASCII")
    in_c = _run(text, 0) >= 4 or (len(text) == 2 and _digits(text))
    values = [_START_C if in_c else _START_B]
    at = 0
    while at < len(text):
        digits = _run(text, at)
        if in_c:
            if digits >= 2:
                values.append(int(text[at : at + 2]))
                at += 2
                continue
            values.append(_CODE_B)
            in_c = False
        elif digits % 2 == 0 and (digits >= 6 or (digits >= 4 and at + digits == len(text))):
            values.append(_CODE_C)
            in_c = True
            continue
        values.append(ord(text[at]) - 32)
        at += 1
    total = values[0]
    for weight, value in enumerate(values[1:], 1):
        total += weight * value
    values.append(total % 103)
    return "".join(_widths(_CODE128[6 * v : 6 * v + 6]) for v in values) + _widths(_STOP128)
