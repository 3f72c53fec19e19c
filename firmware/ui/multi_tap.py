"""Letters and symbols from the digits of a keypad (ITU-T E.161, 2.2: 2 is ABC, 9 is WXYZ).

A key pressed again soon goes on to its next sign; whoever draws says when it was not
soon (``settle``). Menu and Func change between small letters, capitals and digits;
Up and Down go through the symbols; Clear takes the last sign away. Signs are ASCII.
"""

#: How long a key may rest until the next press of it is a new sign.
TAP_MS = 1000

LOWER, UPPER, DIGITS = "lower", "upper", "digits"
#: Every printable ASCII sign that is neither letter nor digit, the usual ones first.
SYMBOLS = ".-_@/:!?,#$%&*+=;'\"()[]{}<>^`|~\\ "
_LETTERS = {
    "2": "abc", "3": "def", "4": "ghi", "5": "jkl", "6": "mno", "7": "pqrs", "8": "tuv",
    "9": "wxyz", "1": ".-_@/:", "0": " ", "00": " ", ".": ".,!?",
}  # fmt: skip


class MultiTap:
    """One line of at most ``most`` signs, with ``text`` to begin with.

    ``modes``: of LOWER, UPPER, DIGITS those that Menu goes through. ``symbols``: of
    SYMBOLS those that may be typed.
    """

    def __init__(
        self,
        most: int,
        modes: "tuple[str, ...]" = (LOWER, UPPER, DIGITS),
        symbols: str = SYMBOLS,
        text: str = "",
    ) -> None:
        self.text = text
        self.mode = modes[0]
        self._most = most
        self._modes = modes
        self._symbols = symbols
        self._key = ""  # whose signs the last press goes round
        self._at = 0

    @property
    def open(self) -> bool:
        """Whether the last sign may still become another one."""
        return self._key != ""

    def settle(self) -> None:
        """The last sign stays what it is."""
        self._key = ""

    def press(self, key: str) -> None:
        """Take a key; those that mean nothing here change nothing."""
        if key in ("menu", "func"):
            self._key = ""
            self.mode = self._modes[(self._modes.index(self.mode) + 1) % len(self._modes)]
        elif key == "clear":
            self._key = ""
            self.text = self.text[:-1]
        elif key in ("up", "down"):
            self._go("symbols", self._symbols, -1 if key == "up" else 1)
        elif key in _LETTERS:
            self._sign(key)

    def _sign(self, key: str) -> None:
        if self.mode == DIGITS:
            self._key = ""
            allowed = key != "." or "." in self._symbols
            if allowed and len(self.text) + len(key) <= self._most:
                self.text += key
            return
        signs = ""
        for sign in _LETTERS[key]:
            if "a" <= sign <= "z":
                signs += sign.upper() if self.mode == UPPER else sign
            elif sign in self._symbols:
                signs += sign
        self._go(key, signs + (key if len(key) == 1 and key != "." else ""), 1)

    def _go(self, key: str, signs: str, by: int) -> None:
        """The first of ``signs`` (from the end for -1), or the next after this key's last."""
        if not signs:
            return
        if self._key == key:
            self._at = (self._at + by) % len(signs)
            self.text = self.text[:-1] + signs[self._at]
        elif len(self.text) < self._most:
            self._key = key
            self._at = 0 if by > 0 else len(signs) - 1
            self.text += signs[self._at]


def masked(text: str, last: bool) -> str:
    """``text`` as stars; its last sign is shown while ``last``."""
    if not text or not last:
        return "*" * len(text)
    return "*" * (len(text) - 1) + text[-1]
