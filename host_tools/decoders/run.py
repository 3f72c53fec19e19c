"""Runs one decoder over an argument or over lines of standard input."""

import json
import sys
from collections.abc import Callable
from typing import Any

import typer

from host_tools.decoders.common import MAX_INPUT, BadInput

Decode = Callable[[str], Any]
Render = Callable[[Any], list[str]]


def _dump(document: Any) -> str:
    # ASCII only: what is decoded may hold any character, a terminal may not.
    return json.dumps(document, separators=(",", ":"))


def one(text: str | None, decode: Decode, render: Render, as_json: bool) -> None:
    """Decode ``text`` ("-" or None: all of standard input); exit 1 if it is bad."""
    try:
        if text is None or text == "-":
            raw = sys.stdin.buffer.read(MAX_INPUT + 1)
            text = _ascii(raw)
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


def _ascii(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadInput("not ASCII", error.start) from None


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
            document = decode(_ascii(raw.rstrip(b"\r\n")))
        except BadInput as error:
            document = error.as_json()
        print(_dump(document), flush=True)


def run(text: str | None, decode: Decode, render: Render, as_json: bool, from_lines: bool) -> None:
    """What every ``till decode`` command does. Usage error when nothing is given."""
    try:
        if from_lines:
            if text is not None:
                raise typer.BadParameter("--lines reads standard input; give no input")
            lines(decode)
            return
        if text is None and sys.stdin.isatty():
            raise typer.BadParameter("give the input, or - for standard input")
        one(text, decode, render, as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (head, less): nothing is left to say.
        sys.stdout = None  # or the interpreter flushes it at exit
        raise typer.Exit(0) from None
