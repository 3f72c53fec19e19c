"""What ``till`` says to people, in their language.

gettext with the English text as key: ``said("{count} records", count=3)``. Catalogues are
``locale/<language>.po``; English needs none. The language is what ``--language`` says, else
OPENTILL_LANGUAGE, else the system's (LC_ALL, LC_MESSAGES, LANG), else English.

A text that is not in a call of ``said`` is marked where it stands (``later("...")``), so that the
test of the catalogues finds it, and is said later.
"""

import os
from functools import cache
from pathlib import Path

from host_tools import po_file
from host_tools.errors import UserError

LOCALE = Path(__file__).with_name("locale")
ENGLISH = "en"
_FROM = ("OPENTILL_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")

#: What ``--language`` said; "" for what the surroundings say.
_chosen = ""


def languages() -> list[str]:
    """Languages that ``till`` speaks."""
    return sorted({ENGLISH, *(path.stem for path in LOCALE.glob("*.po"))})


def use(language: str) -> None:
    """Speak this language from now on; "": the surroundings'. UserError: not spoken."""
    global _chosen
    if language and language not in languages():
        raise UserError(
            said("no language {code}; known: {known}", code=repr(language),
                 known=", ".join(languages()))
        )  # fmt: skip
    _chosen = language


def language() -> str:
    """The language spoken now."""
    if _chosen:
        return _chosen
    for name in _FROM:
        value = os.environ.get(name, "")
        if value:
            code = value.replace("-", "_").split("_")[0].split(".")[0].lower()
            return code if code in languages() else ENGLISH
    return ENGLISH


def later(text: str) -> str:
    """``text`` itself, marked as one that is said later."""
    return text


def said(text: str, **values: object) -> str:
    """``text`` in the language spoken, with ``values`` in its fields."""
    known = _catalogue(language())
    return known.get(text, text).format(**values)


@cache
def _catalogue(code: str) -> dict[str, str]:
    path = LOCALE / f"{code}.po"
    return po_file.read(path) if code != ENGLISH or path.exists() else {}
