"""Reading the JSON files of ``till emv``: every error names place and reason."""

import datetime
import difflib
import json
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from host_tools import hex_text
from host_tools.errors import UserError

#: A recording of one card session is a few kilobytes.
MAX_FILE = 4 << 20
#: Keys that are the writer's own at any level, as is every key that begins with "_".
LABELS = ("comment", "description", "expected", "id", "name", "note", "source", "title")
#: Warnings of one input that are told.
MOST_WARNINGS = 100
#: Longer keys are no misspelt word of ours.
_LONGEST_WORD = 40


class _Table(dict[str, Any]):
    """A JSON object. ``doubled``: a key that stood in it twice, else ""."""

    doubled = ""


class InputError(UserError):
    """The file cannot be used. ``offset``: of the character, where one is to blame."""

    def __init__(self, text: str, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset

    def as_dict(self) -> dict[str, Any]:
        """The ``--json`` form."""
        return {"error": str(self), "offset": self.offset or 0}


def load(path: Path) -> bytes:
    """The file's content, of one longer than MAX_FILE the beginning. InputError."""
    try:
        return _file(path) if str(path) != "-" else _standard_input()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def parse(raw: bytes, place: str) -> dict[str, Any]:
    """The one object in ``raw``; ``place`` is what an InputError names."""
    if len(raw) > MAX_FILE:
        raise InputError(f"{place}: larger than {MAX_FILE} bytes")
    try:
        table = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_number
        )
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8", error.start) from error
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: not JSON: {error.msg}", error.pos) from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{place}: not usable JSON: {error}") from error
    if not isinstance(table, dict):
        raise InputError(f"{place}: not a JSON object", 0)
    _refuse_doubled(table)
    return table


def _object(pairs: list[tuple[str, Any]]) -> _Table:
    table = _Table()
    for key, value in pairs:
        if key in table:
            table.doubled = key
        table[key] = value
    return table


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _refuse_doubled(table: dict[str, Any]) -> None:
    """InputError naming the place of a key that stands twice in its object."""
    waiting: list[tuple[str, Any]] = [("", table)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, _Table):
            if value.doubled:
                raise InputError(f"{_below(place, value.doubled)}: stands twice")
            waiting.extend((_below(place, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            waiting.extend((f"{place}[{at}]", inner) for at, inner in enumerate(value))


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def unused(
    table: dict[str, Any], known: Collection[str], warnings: list[str], place: str = ""
) -> None:
    """Warn of each key that is neither known nor a label: it is not used."""
    for key in table:
        if key not in known and not is_label(key):
            text = f"{_below(place, key)}: not known, not used"
            if len(warnings) < MOST_WARNINGS and len(key) < _LONGEST_WORD:
                near = difflib.get_close_matches(key, known, 1, 0.8)
                text += "".join(f"; did you mean {word}?" for word in near)
            warnings.append(text)


def told(warnings: list[str]) -> dict[str, list[str]]:
    """The ``warnings`` of a result, nothing when there are none."""
    if not warnings:
        return {}
    more = len(warnings) - MOST_WARNINGS
    rest = [f"and {more} more"] if more > 0 else []
    return {"warnings": warnings[:MOST_WARNINGS] + rest}


def is_label(key: str) -> bool:
    """Whether a key is the writer's own (docs/emv-replay.md)."""
    return key.startswith("_") or key in LABELS


def standard_lines() -> Iterator[bytes]:
    """Standard input line by line; of one longer than MAX_FILE the beginning."""
    stream = sys.stdin.buffer
    while True:
        raw = stream.readline(MAX_FILE + 1)
        if not raw:
            return
        rest = raw
        while len(rest) > MAX_FILE and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_FILE + 1)
        yield raw


def _file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE + 1)


def _standard_input() -> bytes:
    return sys.stdin.buffer.read(MAX_FILE + 1)


def hex_bytes(value: Any, place: str) -> bytes:
    """Bytes of a hex text (``hex_text``). InputError; for None that it is missing."""
    try:
        return hex_text.octets(_text(value, place))
    except hex_text.HexError as error:
        raise InputError(f"{place}: {error.reason}", error.offset) from None


def _text(value: Any, place: str) -> str:
    if value is None:
        raise InputError(f"{place}: missing")
    if not isinstance(value, str):
        raise InputError(f"{place}: a text of hex digits is needed")
    return value


def _padded(value: Any, place: str) -> bytes:
    """Bytes of a hex text that is a number: its first zero may be missing."""
    try:
        plain = hex_text.digits(_text(value, place))
    except hex_text.HexError as error:
        raise InputError(f"{place}: {error.reason}", error.offset) from None
    return bytes.fromhex("0" * (len(plain) % 2) + plain)


def sized_bytes(value: Any, place: str, size: int) -> bytes:
    """Bytes of a hex text of this length."""
    raw = hex_bytes(value, place)
    if len(raw) != size:
        raise InputError(f"{place}: {size} bytes are needed, not {len(raw)}")
    return raw


def hex_or_none(value: Any, place: str) -> bytes | None:
    """Bytes of a hex text, None for none."""
    return None if value is None else hex_bytes(value, place)


def flag_of(value: Any, place: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise InputError(f"{place}: true or false is needed")
    return value


def date_of(value: Any, place: str) -> str:
    """A day of the calendar as YYMMDD; years below 50 are 20YY (EMV 4.4 Book 4, 6.7.3)."""
    if not (isinstance(value, str) and len(value) == 6 and value.isascii() and value.isdigit()):
        raise InputError(f"{place}: YYMMDD is needed")
    try:
        datetime.date(int(century(value)), int(value[2:4]), int(value[4:]))
    except ValueError:
        raise InputError(f"{place}: {value} is no day of the calendar (YYMMDD)") from None
    return value


def century(date: str) -> str:
    """The year, four digits, of a date that begins with YY."""
    return ("20" if date[:2] < "50" else "19") + date[:2]


def table_of(value: Any, place: str) -> dict[str, Any]:
    """A JSON object, {} for none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{place}: an object is needed")
    return value


def list_of(value: Any, place: str) -> list[Any]:
    """A JSON array, [] for none."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{place}: an array is needed")
    return value


def tags_of(value: Any, place: str) -> dict[int, bytes]:
    """Data objects by tag from ``{"9F02": "000000000100"}``."""
    found: dict[int, bytes] = {}
    for name, text in table_of(value, place).items():
        if is_label(name):
            continue
        tag = int.from_bytes(hex_bytes(name, f"{place}.{name}: the tag"), "big")
        if not 0 < tag < 1 << 32:
            raise InputError(f"{place}: {name!r} is no tag")
        if tag in found:
            raise InputError(f"{place}.{name}: the tag stands twice")
        found[tag] = hex_bytes(text, f"{place}.{name}")
    return found


def number_of(value: Any, place: str) -> int:
    """A non-negative integer, or decimal digits."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InputError(f"{place}: a whole number is needed")
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 16):
        raise InputError(f"{place}: a whole number is needed")
    if int(value) < 0:
        raise InputError(f"{place}: is negative")
    return int(value)


def limit_of(value: Any, place: str, warnings: list[str]) -> int:
    """An amount in minor units: a whole number, its decimal digits, or four bytes
    in hex as tag 9F1B has them.

    Text of eight digits with a leading zero is taken for 9F1B, with a warning
    where that makes a difference.
    """
    if isinstance(value, str):
        try:
            plain = hex_text.digits(value)
        except hex_text.HexError:
            plain = ""
        marked = value.strip()[:2] in ("0x", "0X") and 0 < len(plain) <= 8
        if marked or (len(plain) == 8 and (plain[0] == "0" or not plain.isdigit())):
            number = int(plain, 16)
            if not marked and plain.isdigit() and number != int(plain):
                warnings.append(
                    f"{place}: {value} is read as the 4 bytes of tag 9F1B, which is {number}; "
                    f"write {int(plain)} if the decimal number is meant"
                )
            return number
    return number_of(value, place)


def modulus_of(value: Any, place: str) -> bytes:
    """An RSA modulus, without the zero byte that some lists put before it."""
    raw = hex_bytes(value, place)
    return raw[1:] if raw[:1] == b"\x00" else raw


def exponent_of(value: Any, place: str) -> bytes:
    """An RSA exponent: hex, its first zero optional, or a number (65537 as text too)."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 24:
        return bytes.fromhex(f"{value:x}" if len(f"{value:x}") % 2 == 0 else f"0{value:x}")
    raw = b"\x01\x00\x01" if value == "65537" else _padded(value, place)
    return raw.lstrip(b"\x00") or raw if len(raw) > 3 else raw


def index_of(value: Any, place: str) -> int:
    """A CAPK index: one byte in hex, its first zero optional, or a number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255:
        return value
    raw = _padded(value, place)
    if len(raw) != 1:
        raise InputError(f"{place}: one byte is needed")
    return raw[0]
