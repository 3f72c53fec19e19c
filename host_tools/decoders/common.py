"""What the decoders share: their error, hexadecimal input, masking."""

import re
from collections.abc import Iterable
from typing import Any

from host_tools.hex_text import HexError, octets

#: Longest input taken, in characters.
MAX_INPUT = 1 << 20


class BadInput(Exception):
    """The input is wrong. ``offset``: byte offset in the decoded data, or
    character offset where the input is not hexadecimal; None when the input as a
    whole is to blame."""

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset

    def as_json(self) -> dict[str, object]:
        """The error object of ``--json``."""
        return {"error": self.reason, "offset": self.offset or 0}


def parse_hex(text: str) -> bytes:
    """Hexadecimal digits (``hex_text``). BadInput says where not, and when there are none."""
    check_size(text)
    try:
        data = octets(text)
    except HexError as error:
        raise BadInput(error.reason, error.offset) from None
    if not data:
        raise BadInput("the input is empty", 0)
    return data


def check_size(text: str) -> None:
    """Refuse what is too long to be a message."""
    if len(text) > MAX_INPUT:
        raise BadInput(f"longer than {MAX_INPUT} characters", MAX_INPUT)


def mask_pan(pan: str) -> str:
    """First six and last four digits; all hidden when that would show the rest."""
    if len(pan) < 13:
        return "*" * len(pan)
    return pan[:6] + "*" * (len(pan) - 10) + pan[-4:]


class Scrub:
    """Masks numbers that it knows wherever they stand, as digits or as ASCII in hexadecimal."""

    def __init__(self, pans: Iterable[str]) -> None:
        self._masked: dict[str, str] = {}
        for pan in pans:
            self._masked[pan] = mask_pan(pan)
            self._masked[pan.encode().hex().upper()] = mask_pan(pan)
        longest_first = sorted(self._masked, key=len, reverse=True)
        self._find = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def text(self, text: str) -> str:
        """``text`` without the numbers."""
        return self._find.sub(lambda found: self._masked[found.group()], text)

    def all(self, value: Any) -> Any:
        """The same with every text in a JSON-able value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.all(item) for key, item in value.items()}
        return [self.all(item) for item in value] if isinstance(value, list) else value


def mask_track(track: str) -> str:
    """The PAN truncated, the rest hidden but for its separator."""
    for separator in ("D", "=", "d"):
        pan, found, rest = track.partition(separator)
        if found:
            return mask_pan(pan) + separator + "*" * len(rest)
    return "*" * len(track)


def mask_object(tag: int, value: bytes) -> str | None:
    """Hex of a data object with its secrets hidden, None when it has none."""
    text = value.hex().upper()
    if tag == 0x5A:
        digits = text.rstrip("F")
        return mask_pan(digits) + text[len(digits) :]
    if tag in (0x57, 0x9F6B):
        return mask_track(text)
    if tag in (0x56, 0x99, 0x9F1F, 0x9F20):
        return "*" * len(text)
    return None


def readable(value: object) -> str:
    """A value of a result for people: yes and no for true and false."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def luhn(pan: str) -> bool:
    """Check digit of ISO/IEC 7812-1, Annex B."""
    total = 0
    for place, digit in enumerate(reversed(pan)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0
