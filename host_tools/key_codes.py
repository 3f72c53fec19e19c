"""Key codes of Linux input devices that a terminal's keypad may have (input-event-codes.h)."""

_LETTERS = ("QWERTYUIOP", 16), ("ASDFGHJKL", 30), ("ZXCVBNM", 44)

#: Number by name.
CODES: dict[str, int] = {
    "KEY_ESC": 1, **{f"KEY_{digit}": 2 + i for i, digit in enumerate("1234567890")},
    "KEY_MINUS": 12, "KEY_EQUAL": 13, "KEY_BACKSPACE": 14, "KEY_TAB": 15, "KEY_ENTER": 28,
    "KEY_DOT": 52, "KEY_SPACE": 57,
    **{f"KEY_{char}": first + i for row, first in _LETTERS for i, char in enumerate(row)},
    **{f"KEY_F{i}": 58 + i for i in range(1, 11)}, "KEY_F11": 87, "KEY_F12": 88,
    "KEY_NUMLOCK": 69,
    "KEY_KP7": 71, "KEY_KP8": 72, "KEY_KP9": 73, "KEY_KPMINUS": 74, "KEY_KP4": 75, "KEY_KP5": 76,
    "KEY_KP6": 77, "KEY_KPPLUS": 78, "KEY_KP1": 79, "KEY_KP2": 80, "KEY_KP3": 81, "KEY_KP0": 82,
    "KEY_KPDOT": 83, "KEY_KPENTER": 96, "KEY_KPSLASH": 98, "KEY_KPASTERISK": 55,
    "KEY_HOME": 102, "KEY_UP": 103, "KEY_PAGEUP": 104, "KEY_LEFT": 105, "KEY_RIGHT": 106,
    "KEY_END": 107, "KEY_DOWN": 108, "KEY_PAGEDOWN": 109, "KEY_INSERT": 110, "KEY_DELETE": 111,
    "KEY_KPEQUAL": 117, "KEY_KPCOMMA": 121, "KEY_MENU": 139, "KEY_BACK": 158, "KEY_OK": 352,
    "KEY_SELECT": 353, "KEY_CLEAR": 355, "KEY_CANCEL": 223,
    **{f"KEY_NUMERIC_{i}": 512 + i for i in range(10)},
    "KEY_NUMERIC_STAR": 522, "KEY_NUMERIC_POUND": 523,
}  # fmt: skip
