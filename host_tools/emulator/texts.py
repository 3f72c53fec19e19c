"""The page's words, from the gettext files in ``locale``: stable keys, one line each."""

from functools import cache
from pathlib import Path

from host_tools import po_file

LOCALE = Path(__file__).with_name("locale")


@cache
def texts(language: str) -> dict[str, str]:
    """Key -> text of one language; fields stand in braces. UserError."""
    return po_file.read(LOCALE / f"{language}.po")


def languages() -> list[str]:
    """Languages that the page speaks."""
    return sorted(path.stem for path in LOCALE.glob("*.po"))
