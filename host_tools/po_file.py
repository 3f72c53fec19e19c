"""Reads gettext's .po files at run time: msgid and msgstr, nothing of plurals and contexts.

Babel, which reads all of it, judges these files in the tests.
"""

import re
from pathlib import Path

from host_tools.errors import UserError

_LINE = re.compile(r'(?:(msgid|msgstr) )?"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t"}


def read(path: Path) -> dict[str, str]:
    """msgid -> msgstr, without the header. UserError names the file, and the line that is none."""
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    entries: list[dict[str, str]] = []
    part = ""
    for number, line in enumerate(source.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or not (part or found[1]):
            raise UserError(f"{path}:{number}: no line of a .po file")
        part = found[1] or part
        if found[1] == "msgid":
            entries.append({})
        entries[-1][part] = entries[-1].get(part, "") + _plain(found[2])
    return {entry["msgid"]: entry.get("msgstr", "") for entry in entries if entry["msgid"]}


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
