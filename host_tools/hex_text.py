"""Hexadecimal text as people and programs write it: one reading for every command."""

_DIGITS = frozenset("0123456789abcdefABCDEF")
_BLANKS = " \t\r\n"


class HexError(ValueError):
    """The text is not hexadecimal. ``offset``: of the character in the text."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


def digits(text: str) -> str:
    """The digits alone: without ``0x`` at the beginning, blanks, tabs and line ends
    anywhere, ``:`` and ``-`` between bytes. HexError for anything else."""
    start = len(text) - len(text.lstrip(_BLANKS))
    if text[start : start + 2] in ("0x", "0X"):
        start += 2
    found: list[str] = []
    for place, char in enumerate(text[start:], start):
        if char in _DIGITS:
            found.append(char)
        elif char in ":-" and found:
            if len(found) % 2:
                raise HexError(f"{char!a} stands inside a byte", place)
        elif char not in _BLANKS:
            raise HexError(f"{char!a} is not a hexadecimal digit", place)
    return "".join(found)


def octets(text: str) -> bytes:
    """The bytes of ``text``. HexError also for an odd number of digits."""
    plain = digits(text)
    if len(plain) % 2:
        raise HexError("an odd number of hexadecimal digits", len(text))
    return bytes.fromhex(plain)
