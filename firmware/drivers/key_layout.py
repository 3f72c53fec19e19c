"""What keyboards type: characters of Linux key codes by layout (input-event-codes.h)."""

#: Key codes of the main block, row by row, and what they give plain and with Shift.
_ROWS = (2, 16, 30, 44)
_US = (
    ("1234567890-=", "qwertyuiop[]", "asdfghjkl;'`", "zxcvbnm,./"),
    ("!@#$%^&*()_+", "QWERTYUIOP{}", 'ASDFGHJKL:"~', "ZXCVBNM<>?"),
)
_UK = (
    ("1234567890-=", "qwertyuiop[]", "asdfghjkl;'`", "zxcvbnm,./"),
    ('!"£$%^&*()_+', "QWERTYUIOP{}", "ASDFGHJKL:@¬", "ZXCVBNM<>?"),
)
_DE = (
    ("1234567890ß´", "qwertzuiopü+", "asdfghjklöä^", "yxcvbnm,.-"),
    ('!"§$%&/()=?`', "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ°", "YXCVBNM;:_"),
)
_FR = (
    ("&é\"'(-è_çà)=", "azertyuiop^$", "qsdfghjklmù²", "wxcvbn,;:!"),
    ("1234567890°+", "AZERTYUIOP¨£", "QSDFGHJKLM%~", "WXCVBN?./§"),
)
#: Code 43 and code 86 (the 102nd key), plain and with Shift.
_EXTRA = {
    "us": ("\\|", "<>"), "uk": ("#~", "\\|"), "de": ("#'", "<>"), "fr": ("*µ", "<>"),
}  # fmt: skip
_LAYOUTS = {"us": _US, "uk": _UK, "de": _DE, "fr": _FR}
LAYOUTS = ("us", "uk", "de", "fr")
#: The numeric block, alike everywhere.
_BLOCK = {
    71: "7", 72: "8", 73: "9", 74: "-", 75: "4", 76: "5", 77: "6", 78: "+", 79: "1", 80: "2",
    81: "3", 82: "0", 83: ".", 98: "/", 55: "*", 117: "=", 57: " ",
}  # fmt: skip

KEY_TAB, KEY_ENTER, KEY_BLOCK_ENTER, KEY_CAPS = 15, 28, 96, 58
SHIFTS = (42, 54)
CONTROLS = (29, 97)
#: Keys that change what others mean and that no layout here knows: Alt, Meta.
OTHERS = (56, 100, 125, 126)
#: With Control: the code of ``]`` on a US keyboard is GS1's separator.
KEY_SEPARATOR = 27


def table(layout: str) -> "dict[int, tuple[str, str]]":
    """(plain, with Shift) by key code. ValueError for a layout that is not in LAYOUTS."""
    if layout not in LAYOUTS:
        raise ValueError("no key layout is called " + layout)
    keys: "dict[int, tuple[str, str]]" = {}
    plain, shifted = _LAYOUTS[layout]
    for row in range(4):
        for i in range(len(plain[row])):
            keys[_ROWS[row] + i] = (plain[row][i], shifted[row][i])
    for code, pair in zip((43, 86), _EXTRA[layout]):
        keys[code] = (pair[0], pair[1])
    for code in _BLOCK:
        keys[code] = (_BLOCK[code], _BLOCK[code])
    return keys
