"""Bars of the printer's one-dimensional codes, as module patterns ("1" black).

ISO/IEC 15417 (Code 128), 15420 (EAN/UPC), 16388 (Code 39), 16390 (ITF).
"""


def _split(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


_L = _split("0001101001100100100110111101010001101100010101111011101101101110001011", 7)
_PARITY = _split("LLLLLLLLGLGGLLGGLGLLGGGLLGLLGGLGGLLGLGGGLLLGLGLGLGLGGLLGGLGL", 6)

_128 = (
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132"
    "122231113222123122123221223211221132221231213212223112312131311222321122321221312212"
    "322112322211212123212321232121111323131123131321112313132113132311211313231113231311"
    "112133112331132131113123113321133121313121211331231131213113213311213131311123311321"
    "331121312113312311332111314111221411431111111224111422121124121421141122141221112214"
    "112412122114122411142112142211241211221114413111241112134111111242121142121241114212"
    "124112124211411212421112421211212141214121412121111143111341131141114113114311411113"
    "411311113141114131311141411131211412211214211232"
)
_39 = {
    char: pattern
    for char, pattern in zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%*",
        _split(
            "000110100100100001001100001101100000000110001100110000001110000000100101100100100"
            "001100100100001001001001001101001000000011001100011000001011000000001101100001100"
            "001001100000011100100000011001000011101000010000010011100010010001010010000000111"
            "100000110001000110000010110110000001011000001111000000010010001110010000011010000"
            "010000101110000100011000100010101000010100010010001010000101010010010100",
            9,
        ),
        strict=True,
    )
}
_ITF = _split("00110100010100111000001011010001100000111001001010", 5)


def _right(digit: str) -> str:
    return "".join("10"[int(bit)] for bit in _L[int(digit)])


def check_digit(digits: str) -> str:
    """GS1 modulo 10 check digit."""
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(digits)))
    return str(-total % 10)


def _completed(digits: str, length: int) -> str | None:
    if not digits.isascii() or not digits.isdigit():
        return None
    if len(digits) == length - 1:
        return digits + check_digit(digits)
    good = len(digits) == length and check_digit(digits[:-1]) == digits[-1]
    return digits if good else None


def ean13(data: str) -> str | None:
    """EAN-13; None when the data is not printable in this code."""
    digits = _completed(data, 13)
    if digits is None:
        return None
    parity = _PARITY[int(digits[0])]
    left = "".join(
        _L[int(d)] if p == "L" else _right(d)[::-1]
        for d, p in zip(digits[1:7], parity, strict=True)
    )
    return "101" + left + "01010" + "".join(map(_right, digits[7:])) + "101"


def upca(data: str) -> str | None:
    """UPC-A, which is EAN-13 with a leading zero."""
    digits = _completed(data, 12)
    return None if digits is None else ean13("0" + digits)


def ean8(data: str) -> str | None:
    """EAN-8."""
    digits = _completed(data, 8)
    if digits is None:
        return None
    left = "".join(_L[int(d)] for d in digits[:4])
    return "101" + left + "01010" + "".join(map(_right, digits[4:])) + "101"


def _bars(widths: str) -> str:
    return "".join("10"[i % 2] * int(w) for i, w in enumerate(widths))


def code39(data: str) -> str | None:
    """Code 39 with start and stop; wide bars are three modules."""
    text = data.strip("*")
    if not text or any(char not in _39 or char == "*" for char in text):
        return None
    return "0".join(
        _bars("".join("3" if bit == "1" else "1" for bit in _39[char])) for char in f"*{text}*"
    )


def itf(data: str) -> str | None:
    """Interleaved 2 of 5."""
    if not data.isascii() or not data.isdigit() or len(data) % 2:
        return None
    out = "1010"
    for i in range(0, len(data), 2):
        bars, gaps = _ITF[int(data[i])], _ITF[int(data[i + 1])]
        for bar, gap in zip(bars, gaps, strict=True):
            out += ("111" if bar == "1" else "1") + ("000" if gap == "1" else "0")
    return out + "11101"


def code128(data: bytes) -> tuple[str, str] | None:
    """Code 128 from ESC/POS data ("{A", "{B", "{C" choose the set); (modules, text)."""
    if data[:2] not in (b"{A", b"{B", b"{C"):
        return None
    values: list[int] = []
    text = ""
    code = 0
    at = 0
    while at < len(data):
        byte = data[at]
        mark = data[at + 1 : at + 2]
        if byte == 0x7B and mark in (b"A", b"B", b"C"):
            new = mark[0]
            if not values:
                values.append(103 + new - 0x41)
            elif new != code:
                values.append({0x43: 99, 0x42: 100, 0x41: 101}[new])
            code = new
            at += 2
            continue
        if code == 0x43:
            if byte > 99:
                return None
            values.append(byte)
            text += f"{byte:02d}"
        elif byte == 0x7B and mark in (b"{", b"1", b"2", b"3", b"4", b"S"):
            at += 1
            special = {b"{": 91, b"1": 102, b"2": 97, b"3": 96, b"4": 100, b"S": 98}[mark]
            values.append(special)
            text += "{" if mark == b"{" else ""
        elif code == 0x42 and 32 <= byte <= 127:
            values.append(byte - 32)
            text += chr(byte)
        elif code == 0x41 and byte < 96:
            values.append(byte - 32 if byte >= 32 else byte + 64)
            text += chr(byte) if byte >= 32 else ""
        else:
            return None
        at += 1
    if len(values) < 2:
        return None
    check = (values[0] + sum(i * v for i, v in enumerate(values))) % 103
    widths = "".join(_128[6 * v : 6 * v + 6] for v in [*values, check])
    return _bars(widths) + "1100011101011", text
