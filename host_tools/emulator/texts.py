"""The page's words, from the gettext files in ``locale``: stable keys, one line each."""

import re
from functools import cache
from pathlib import Path

from host_tools.errors import UserError

LOCALE = Path(__file__).with_name("locale")
_ENTRY = re.compile(r'^msgid "([a-z_.0-9]+)"\nmsgstr "(.*)"$', re.MULTILINE)


@cache
def texts(language: str) -> dict[str, str]:
    """Key -> text of one language; fields stand in braces. UserError."""
    path = LOCALE / f"{language}.po"
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    return {key: text.replace('\\"', '"') for key, text in _ENTRY.findall(source)}


def languages() -> list[str]:
    """Languages that the page speaks."""
    return sorted(path.stem for path in LOCALE.glob("*.po"))
