"""Takes out of a text what a supporter must not see: whole card numbers, tracks, keys, and who
uses this computer."""

import getpass
import platform
import re
from pathlib import Path
from typing import Any

#: 12 to 19 digits, also in groups; hexadecimal that may be a key (24 bytes and more); a track.
_DIGITS = re.compile(r"(?<![0-9A-Za-z])(?:[0-9][ -]?){11,18}[0-9](?![0-9A-Za-z])")
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{48,}(?![0-9A-Za-z])")
_TRACK = re.compile(r"[0-9]{12,19}[=D][0-9]{4,}", re.IGNORECASE)
#: Shorter names would be found in every other word.
_LEAST_NAME = 4


def redacted(text: str) -> str:
    """``text`` without them; what was there shows as ***."""
    text = _TRACK.sub("***", text)
    text = _HEX.sub("***", text)
    text = _DIGITS.sub(_masked, text)
    for name, instead in _names():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", instead, text)
    return text


def redacted_tree(value: Any) -> Any:
    """The same of every text and name in a JSON-able value."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {redacted(str(key)): redacted_tree(one) for key, one in value.items()}
    if isinstance(value, list):
        return [redacted_tree(one) for one in value]
    return value


def _masked(found: "re.Match[str]") -> str:
    digits = re.sub(r"[ -]", "", found[0])
    if not _is_card(digits):
        return found[0]
    return digits[:6] + "*" * (len(digits) - 10) + digits[-4:]


def _is_card(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled // 10 + doubled % 10
    return total % 10 == 0


def _names() -> list[tuple[str, str]]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = ""
    found = [(str(Path.home()), "~"), (platform.node(), "<computer>"), (user, "<user>")]
    return [(name, instead) for name, instead in found if len(name) >= _LEAST_NAME]
