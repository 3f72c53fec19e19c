"""Compiles and checks the language catalogues (`till catalogue build`, `check`).

Sources are gettext files ``firmware/text/locale/<language>.po`` whose msgid is
a stable key (``sale.amount.prompt``) and whose msgstr is the text, with fields
in braces. Tables are read by ``firmware.text.texts``, which tells the format.
"""

import io
import re
import struct
from pathlib import Path

from host_tools.errors import UserError

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
LOCALE = FIRMWARE / "text" / "locale"
DATA = FIRMWARE / "text" / "data"

_FIELD = re.compile(r"\{([a-z_0-9]+)\}")
_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+")


def languages(locale: Path = LOCALE) -> list[str]:
    """Languages that have a catalogue."""
    return sorted(path.stem for path in locale.glob("*.po"))


def read_catalogue(path: Path) -> dict[str, str]:
    """Key -> text. Raises UserError naming the file and the entry that is wrong."""
    try:
        from babel.messages.pofile import PoFileError, read_po
    except ImportError:
        raise UserError("catalogues need Babel: pip install 'opentill[test]'") from None
    raw = path.read_bytes()
    try:
        catalogue = read_po(io.BytesIO(raw), abort_invalid=True)
    except (PoFileError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    keys = re.findall(rb'^msgid "(.+)"', raw, re.MULTILINE)
    twice = sorted({key.decode() for key in keys if keys.count(key) > 1})
    if twice:
        raise UserError(f"{path}: defined twice: {', '.join(twice)}")
    found: dict[str, str] = {}
    for message in catalogue:
        key, text = message.id, message.string
        if not key:
            continue
        if not isinstance(key, str) or not isinstance(text, str):
            raise UserError(f"{path}: {key}: plural forms are not supported")
        if not _KEY.fullmatch(key):
            raise UserError(f"{path}: {key!r} is not a key such as sale.amount.prompt")
        if not text or message.fuzzy:
            raise UserError(f"{path}: {key} is not translated")
        found[key] = text
    return found


def compile_table(catalogue: dict[str, str]) -> bytes:
    """The binary table of a catalogue."""
    entries = sorted((key.encode(), text.encode()) for key, text in catalogue.items())
    at = 6 + 4 * len(entries)
    offsets, body = [], []
    for key, text in entries:
        offsets.append(at)
        body.append(struct.pack("<BH", len(key), len(text)) + key + text)
        at += len(body[-1])
    head = b"OTT1" + struct.pack("<H", len(entries))
    return b"".join([head, struct.pack(f"<{len(offsets)}I", *offsets), *body])


def build_all(locale: Path = LOCALE, data: Path = DATA) -> dict[str, int]:
    """Compile every catalogue; give the number of texts by language."""
    counts = {}
    for language in languages(locale):
        catalogue = read_catalogue(locale / f"{language}.po")
        (data / f"{language}.bin").write_bytes(compile_table(catalogue))
        counts[language] = len(catalogue)
    return counts


def used_keys(firmware: Path = FIRMWARE) -> dict[str, str]:
    """Keys that stand as literals in the source -> the file that uses them.

    A literal counts when its first part (``error`` of ``error.timeout``) is the
    first part of some catalogue key and it looks like a key; keys made at run
    time (``host.`` + code) are checked by the tests of who makes them.
    """
    groups = {key.partition(".")[0] for key in read_catalogue(LOCALE / "en.po")}
    found: dict[str, str] = {}
    for path in sorted(firmware.rglob("*.py")):
        for literal in re.findall(r'"([^"\s]*)"', path.read_text(encoding="utf-8")):
            if _KEY.fullmatch(literal) and literal.partition(".")[0] in groups:
                found.setdefault(literal, str(path.relative_to(firmware.parent)))
    return found


def check(locale: Path = LOCALE, data: Path = DATA, firmware: Path = FIRMWARE) -> list[str]:
    """What is wrong with the catalogues, one sentence each; empty when all is well."""
    from firmware.text.faces import Face

    faults: list[str] = []
    catalogues = {name: read_catalogue(locale / f"{name}.po") for name in languages(locale)}
    every = set().union(*catalogues.values()) if catalogues else set()
    face = Face("latin16")
    for name, catalogue in catalogues.items():
        faults += [f"{name}.po has no {key}" for key in sorted(every - set(catalogue))]
        for key, text in sorted(catalogue.items()):
            missing = face.missing(text.replace("\n", ""))
            if missing:
                faults.append(f"{name}.po: {key}: no glyph for {missing!r}")
            if text.count("{") != len(_FIELD.findall(text)):
                faults.append(f"{name}.po: {key}: a brace that is no field")
        table = data / f"{name}.bin"
        if not table.exists() or table.read_bytes() != compile_table(catalogue):
            faults.append(f"{table.name} is not up to date: run `till catalogue build`")
    for key in sorted(every):
        fields = {
            name: sorted(set(_FIELD.findall(texts[key])))
            for name, texts in catalogues.items()
            if key in texts
        }
        if len({tuple(value) for value in fields.values()}) > 1:
            faults.append(f"{key}: fields differ: {fields}")
    for key, path in used_keys(firmware).items():
        if key not in every:
            faults.append(f"{path} uses {key}, which no catalogue has")
    return faults
