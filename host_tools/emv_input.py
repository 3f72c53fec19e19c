"""Reading the JSON files of ``till emv``: every error names place and reason."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from host_tools.errors import UserError

#: A recording of one card session is a few kilobytes.
MAX_FILE = 4 << 20


_ONE_DIGIT = tuple("0123456789abcdefABCDEF")


class InputError(UserError):
    """The file cannot be used. ``offset``: of the character, where one is to blame."""

    def __init__(self, text: str, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset

    def as_dict(self) -> dict[str, Any]:
        """The ``--json`` form."""
        return {"error": str(self), "offset": self.offset or 0}


def load(path: Path) -> dict[str, Any]:
    """The file's one object. InputError when it is not there, not JSON, or no object."""
    try:
        raw = path.read_bytes() if str(path) != "-" else _standard_input()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    return parse(raw, str(path))


def parse(raw: bytes, place: str) -> dict[str, Any]:
    """The one object in ``raw``; ``place`` is what an InputError names."""
    if len(raw) > MAX_FILE:
        raise InputError(f"{place}: larger than {MAX_FILE} bytes")
    try:
        table = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8", error.start) from error
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: not JSON: {error.msg}", error.pos) from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{place}: not usable JSON: {error}") from error
    if not isinstance(table, dict):
        raise InputError(f"{place}: not a JSON object", 0)
    return table


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


def _standard_input() -> bytes:
    return sys.stdin.buffer.read(MAX_FILE + 1)


def hex_bytes(value: Any, place: str) -> bytes:
    """Bytes of a hex text; spaces and colons are allowed between digits."""
    if not isinstance(value, str):
        raise InputError(f"{place}: a text of hex digits is needed")
    text = value.replace(" ", "").replace(":", "").replace("\n", "")
    for at, digit in enumerate(text):
        if digit not in "0123456789abcdefABCDEF":
            raise InputError(f"{place}: {digit!r} is no hex digit", at)
    if len(text) % 2:
        raise InputError(f"{place}: an odd number of hex digits", len(text))
    return bytes.fromhex(text)


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
        tag = hex_bytes(name, f"{place}: tag")
        if not 1 <= len(tag) <= 4:
            raise InputError(f"{place}: {name!r} is no tag")
        found[int.from_bytes(tag, "big")] = hex_bytes(text, f"{place}.{name}")
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


def exponent_of(value: Any, place: str) -> bytes:
    """An RSA exponent: hex, its first zero optional, or a number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 24:
        return bytes.fromhex(f"{value:x}" if len(f"{value:x}") % 2 == 0 else f"0{value:x}")
    return hex_bytes("0" + value if value in _ONE_DIGIT else value, place)


def index_of(value: Any, place: str) -> int:
    """A CAPK index: one byte in hex, its first zero optional, or a number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255:
        return value
    raw = hex_bytes("0" + value if value in _ONE_DIGIT else value, place)
    if len(raw) != 1:
        raise InputError(f"{place}: one byte is needed")
    return raw[0]
