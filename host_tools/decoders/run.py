"""Runs one decoder over an argument or over lines of standard input."""

import json
import sys
from collections.abc import Callable
from typing import Any

import typer

from host_tools.command_line import Misuse
from host_tools.decoders.common import MAX_INPUT, BadInput

Decode = Callable[[str], Any]
Render = Callable[[Any], list[str]]


def _dump(document: Any) -> str:
    # ASCII only: what is decoded may hold any character, a terminal may not.
    return json.dumps(document, separators=(",", ":"))


def one(text: str | None, decode: Decode, render: Render, as_json: bool) -> None:
    """Decode ``text``, or all of standard input ("-" or None); exit 1 if it is bad.

    Misuse when there is neither.
    """
    try:
        if text is None and sys.stdin.isatty():
            raise Misuse("give the input, or - to read standard input")
        if text is None or text == "-":
            raw = sys.stdin.buffer.read(MAX_INPUT + 1)
            if text is None and not raw.strip():
                raise Misuse("give the input; standard input is empty")
            text = _text(raw)
        result = decode(text)
    except BadInput as error:
        if as_json:
            print(_dump(error.as_json()))
        else:
            place = "" if error.offset is None else f" (offset {error.offset})"
            print(f"error: {error.reason}{place}", file=sys.stderr)
        raise typer.Exit(1) from None
    if as_json:
        print(_dump(result))
        return
    for line in render(result):
        print(line.encode("unicode_escape").decode("ascii") if not _showable(line) else line)


def _showable(line: str) -> bool:
    encoding = sys.stdout.encoding or "ascii"
    try:
        line.encode(encoding)
    except UnicodeError:
        return False
    return line.isprintable()


def _text(raw: bytes) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("not UTF-8", error.start) from None


def lines(decode: Decode) -> None:
    """One input a line of standard input, one JSON object a line out, errors included."""
    stream = sys.stdin.buffer
    while True:
        raw = stream.readline(MAX_INPUT + 2)
        if not raw:
            return
        try:
            if len(raw) > MAX_INPUT and not raw.endswith(b"\n"):
                while raw and not raw.endswith(b"\n"):
                    raw = stream.readline(MAX_INPUT)
                raise BadInput(f"longer than {MAX_INPUT} characters", MAX_INPUT)
            document = decode(_text(raw.rstrip(b"\r\n")))
        except BadInput as error:
            document = error.as_json()
        print(_dump(document), flush=True)


def run(text: str | None, decode: Decode, render: Render, as_json: bool, from_lines: bool) -> None:
    """What every ``till decode`` command does. Misuse when nothing is given."""
    if not from_lines:
        one(text, decode, render, as_json)
    elif text is None:
        lines(decode)
    else:
        raise Misuse("--lines reads standard input; give no input")
