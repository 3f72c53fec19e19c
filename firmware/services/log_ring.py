"""The last lines that the terminal said to its engineer, in RAM, for the PC's ``log``.

Lines are masked before they are kept: whatever a device or a library put into its words,
no card number leaves through here.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Lines kept, and characters of one.
LINES = 400 if sys.implementation.name == "cpython" else 24
LINE = 256
#: Digits in a row that may be a card number: ISO/IEC 7812 has 8 to 19, cards have 12 and more.
_CARD = 12
_DIGITS = "0123456789"
#: After a card's number on a track, also as hexadecimal of tag 57.
_BEHIND = "=^Dd"


def masked(text: str) -> str:
    """``text`` with the middle of every run of 12 digits and more hidden, all that follows
    it on a track too, and no control characters. Runs go on over blanks and hyphens."""
    out = []
    at = 0
    while at < len(text):
        sign = text[at]
        if sign not in _DIGITS:
            number = ord(sign)
            plain = 32 <= number < 127 or (number >= 160 and not 0xD800 <= number < 0xE000)
            out.append(sign if plain else " ")
            at += 1
            continue
        end = at
        places = []
        while end < len(text) and (
            text[end] in _DIGITS or (text[end] in " -" and text[end + 1 : end + 2].isdigit())
        ):
            if text[end] in _DIGITS:
                places.append(end)
            end += 1
        if len(places) < _CARD:
            out.append(text[at:end])
            at = end
            continue
        hidden = places[6:-4]
        out.append("".join(["*" if i in hidden else text[i] for i in range(at, end)]))
        at = end
        if text[end : end + 1] and text[end] in _BEHIND:
            at = end + 1
            while at < len(text) and text[at] not in " ,;)\n":
                at += 1
            out.append(text[end] + "***")
    return "".join(out)


class LogRing:
    """``last``: the number of the newest line, from 1 on since the start."""

    def __init__(self, most: int = LINES) -> None:
        self._most = most
        self._lines: "list[str]" = []
        self.last = 0
        #: Called after each new line; it must not raise.
        self.on_line: "Callable[[], None] | None" = None

    def add(self, text: str) -> None:
        """Keep a line; one that says what the last one said is kept once."""
        line = masked(text)[:LINE]
        if self._lines and self._lines[-1] == line:
            return
        self._lines.append(line)
        self.last += 1
        if len(self._lines) > self._most:
            self._lines.pop(0)
        if self.on_line is not None:
            self.on_line()

    def after(self, number: int, most: int) -> "list[tuple[int, str]]":
        """At most ``most`` lines (number, line) behind ``number``, the oldest first; of one
        that was never reached, all: the terminal has started anew since."""
        first = self.last - len(self._lines) + 1
        begin = 0 if number > self.last else max(number + 1 - first, 0)
        found = self._lines[begin : begin + most]
        return [(first + begin + i, found[i]) for i in range(len(found))]
