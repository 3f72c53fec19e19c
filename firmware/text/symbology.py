"""Barcode texts: check digits, AIM identifiers, GS1 element strings. No I/O.

Sources: ISO/IEC 15420 (EAN/UPC), ISO/IEC 15417 (Code 128), ISO/IEC 15424 (AIM
symbology identifiers), GS1 General Specifications 3 and 7.8.
"""

from firmware.text.check_digits import check_digit, is_digits

#: GS1's separator after an element of variable length (FNC1 as scanners send it).
SEPARATOR = "\x1d"
#: More elements than this are no GS1 code that a label can hold.
MOST_ELEMENTS = 32

#: AIM code character: symbology by modifier, and for the others.
_AIM: "dict[str, tuple[dict[str, str], str]]" = {
    "C": ({"1": "gs1_128"}, "code128"),
    "A": ({}, "code39"),
    "I": ({}, "itf"),
    "Q": ({"3": "gs1_qr"}, "qr"),
    "d": ({"2": "gs1_datamatrix"}, "datamatrix"),
    "L": ({}, "pdf417"),
    "z": ({}, "aztec"),
}
#: Application identifiers of fixed length, by their first two digits: characters with the
#: identifier (GS1 General Specifications, figure 7.8.5-2).
_FIXED = {
    "00": 20, "01": 16, "02": 16, "03": 16, "04": 18, "11": 8, "12": 8, "13": 8, "14": 8,
    "15": 8, "16": 8, "17": 8, "18": 8, "19": 8, "20": 4, "31": 10, "32": 10, "33": 10,
    "34": 10, "35": 10, "36": 10, "41": 16,
}  # fmt: skip


def checked(digits: str) -> bool:
    """Whether the last digit of an EAN, UPC-A, ITF-14 or SSCC text is its check digit."""
    return is_digits(digits) and len(digits) > 1 and check_digit(digits[:-1]) == digits[-1]


def expand_upce(text: str) -> str:
    """The UPC-A text of a UPC-E text of 8 digits: number system, six, check digit.

    ValueError when it is none. ISO/IEC 15420, 4.5.3.
    """
    if len(text) != 8 or not is_digits(text) or text[0] not in "01":
        raise ValueError("a UPC-E text has 8 digits and begins with 0 or 1")
    body, last = text[1:7], text[6]
    if last in "012":
        body = body[:2] + last + "0000" + body[2:5]
    elif last == "3":
        body = body[:3] + "00000" + body[3:5]
    elif last == "4":
        body = body[:4] + "00000" + body[4:5]
    else:
        body = body[:5] + "0000" + last
    whole = text[0] + body + text[7]
    if not checked(whole):
        raise ValueError("wrong check digit")
    return whole


def from_aim(text: str) -> "tuple[str, str]":
    """(symbology, text without identifier) of a text that begins ``]cm``.

    ValueError where no AIM identifier stands, or where an EAN or UPC text does
    not fit its symbology (length, check digit).
    """
    if len(text) < 4 or text[0] != "]":
        raise ValueError("no AIM identifier")
    code, modifier, rest = text[1], text[2], text[3:]
    if code == "E":
        return _ean(modifier, rest), rest
    modifiers, other = _AIM.get(code, ({}, "other"))
    symbology = modifiers.get(modifier, other)
    if symbology == "itf" and modifier == "1" and not checked(rest):
        raise ValueError("wrong check digit")
    return symbology, rest


def _ean(modifier: str, text: str) -> str:
    """Symbology of a text of the EAN/UPC family, checked. ``]E0`` is EAN-13, UPC-A
    or UPC-E (scanners differ in whether they expand them), ``]E3`` with an add-on,
    ``]E4`` EAN-8."""
    if modifier == "4":
        if len(text) != 8 or not checked(text):
            raise ValueError("wrong check digit")
        return "ean8"
    if modifier == "3":
        text = text[:13]
    elif modifier in "12":  # an add-on of two or five digits alone has no check digit of its own
        if len(text) != (2 if modifier == "1" else 5) or not is_digits(text):
            raise ValueError("an add-on has two or five digits")
        return "other"
    if len(text) == 8:
        expand_upce(text)
        return "upce"
    if len(text) not in (12, 13) or not checked(text):
        raise ValueError("wrong check digit")
    return "upca" if len(text) == 12 else "ean13"


def could_be(text: str) -> str:
    """The EAN/UPC symbology that ``text`` fits by length and check digit, or "".

    For scanners that do not say: a guess that the screen may use, never a fact.
    Eight digits count as EAN-8 before UPC-E.
    """
    if len(text) in (8, 12, 13) and checked(text):
        return {8: "ean8", 12: "upca", 13: "ean13"}[len(text)]
    if len(text) == 8:
        try:
            expand_upce(text)
        except ValueError:
            return ""
        return "upce"
    return ""


def gs1_elements(text: str) -> "list[tuple[str, str]]":
    """(application identifier, data) of a GS1 element string, in order.

    Identifiers of two digits; those that begin 31 to 36 have four, 23 to 25,
    40 to 43, 70, 71, 80 to 82 and 39 have three or four as the standard says.
    The check digits of 00, 01 and 02 are verified. ValueError.
    """
    found: "list[tuple[str, str]]" = []
    at = 1 if text[:1] == SEPARATOR else 0
    while at < len(text):
        if len(found) >= MOST_ELEMENTS:
            raise ValueError("too many GS1 elements")
        size = _identifier(text[at : at + 4])
        identifier = text[at : at + size]
        fixed = _FIXED.get(identifier[:2])
        end = at + fixed if fixed else text.find(SEPARATOR, at)
        if end < 0:
            end = len(text)
        data = text[at + size : end]
        if end > len(text) or not data or SEPARATOR in data or len(data) > 90:
            raise ValueError("GS1 element " + identifier + " has a wrong length")
        if identifier in ("00", "01", "02") and not checked(data):
            raise ValueError("GS1 element " + identifier + " has a wrong check digit")
        found.append((identifier, data))
        at = end + 1 if text[end : end + 1] == SEPARATOR else end
    if not found:
        raise ValueError("no GS1 element")
    return found


def _identifier(text: str) -> int:
    """Digits of the application identifier at the start of ``text``."""
    first = text[:2]
    size = 2
    if first in ("23", "24", "25", "40", "41", "42", "71"):
        size = 3
    elif first in ("31", "32", "33", "34", "35", "36", "39", "43", "70", "72", "80", "81", "82"):
        size = 4
    if len(text) < size or not is_digits(text[:size]):
        raise ValueError("no GS1 application identifier")
    return size
