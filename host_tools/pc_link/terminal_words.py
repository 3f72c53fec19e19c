"""What a terminal says by text keys (``error.no_paper``), in words: its own catalogue's, in the
language that ``till`` speaks. A newer terminal's key that is not in it is shown as it is."""

import re
from functools import cache
from typing import Any

from host_tools import texts
from host_tools.pc_link.discovery import printable

_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+")
#: Fields that only the terminal could fill.
_FIELD = re.compile(r"\s*\{[a-z_0-9]+\}")


def words(key: Any) -> str:
    """The words for a text key; anything else as it stands, cleaned."""
    text = printable(key, 64)
    if not _KEY.fullmatch(text):
        return text
    return _read(text, "zh" if texts.language() == "zh" else "en") or text


def device(kind: Any) -> str:
    """The words for a kind of device ("printer"), a link's own name kept ("network wifi")."""
    text = printable(kind, 64)
    first, _, name = text.partition(" ")
    key = "boot.device." + first
    told = words(key)
    return text if told == key else f"{told} {name}".strip()


@cache
def _read(key: str, language: str) -> str:
    from firmware.text.texts import Texts

    catalogue = Texts(language)
    try:
        found = catalogue.get(key) if catalogue.has(key) else ""
    finally:
        catalogue.close()
    return _FIELD.sub("", found.replace("\n", " ")).strip()
