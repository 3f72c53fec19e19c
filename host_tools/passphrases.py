"""How a passphrase comes to a command: never by its arguments or the environment."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from host_tools.errors import UserError
from host_tools.texts import said

#: Characters of a new one at least.
LEAST = 10
_MOST = 1024

File = Annotated[
    str, typer.Option("--passphrase-file", metavar="FILE", help="Its first line is the passphrase.")
]


def asked(file: str, new: bool) -> str:
    """The passphrase: the first line of ``file``, else asked for (twice when it is ``new``),
    else the first line of standard input. UserError."""
    if file:
        try:
            with Path(file).open(encoding="utf-8") as lines:
                word = lines.readline(_MOST)
        except (OSError, UnicodeError) as error:
            raise UserError(
                said("{path} cannot be read: {cause}", path=file,
                     cause=getattr(error, "strerror", None) or "UTF-8")
            ) from None  # fmt: skip
    elif sys.stdin.isatty():
        word = typer.prompt(
            said("Passphrase"), hide_input=True, confirmation_prompt=said("Again") if new else False
        )
    else:
        word = sys.stdin.readline(_MOST)
    word = word.rstrip("\r\n")
    if not word:
        raise UserError(said("there is no passphrase"))
    if new and len(word) < LEAST:
        raise UserError(said("a passphrase has {least} characters or more", least=LEAST))
    return word
