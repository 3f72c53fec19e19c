"""``till pair``: the first meeting of this PC and a terminal."""

import asyncio
import os
import re
import sys
from typing import Annotated

import typer

from firmware import aio
from firmware.link.pairing import ROLES
from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command
from host_tools.pc_link.connection import Settings, connect, pc_name
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.texts import said

app = command_app("Pair this PC with a terminal, once.")

#: What a PC without further wishes asks for.
USUAL = ("sync", "service")
_CODE = re.compile(r"[0-9]{6}")
_TRIES, _MOST_LINE = 5, 200


@app.command()
def pair(
    terminal: at_command.Which = "",
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help=f"What this PC may do; several times: {', '.join(ROLES)} "
            f"[default: {', '.join(USUAL)}]",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="What the merchant reads [default: this PC's name]")
    ] = "",
    code: Annotated[
        bool, typer.Option("--code", help="For scripts: read the code as a line, without asking.")
    ] = False,
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Pair this PC with a terminal.

    Open the pairing in the terminal's menu first. The terminal shows this PC's
    name and asks; then it shows six digits to be typed here. There is one try
    for each code.

    \b
    Examples:
      till pair /dev/ttyACM0
      till pair --role sync --role register
    """
    roles = list(dict.fromkeys(role or USUAL))
    for one in roles:
        if one not in ROLES:
            raise Misuse(
                said("no role {role}; there are {roles}", role=repr(one), roles=", ".join(ROLES))
            )
    if name and (len(name) > 40 or len(name.encode()) > 120 or not name.isprintable()):
        raise Misuse(said("--name has at most 40 characters, all to be read"))
    entry = asyncio.run(_pair(terminal, roles, name or pc_name(), code, as_json))
    if as_json:
        at_command.show(
            {"terminal": entry.serial, "fingerprint": entry.fingerprint, "roles": entry.roles}
        )
    else:
        typer.echo(
            said("Paired with terminal {serial} as {roles}.", serial=entry.serial,
                 roles=", ".join(entry.roles))
        )  # fmt: skip


async def _pair(which: str, roles: list[str], name: str, script: bool, quiet: bool) -> Known:
    from host_tools.pc_link import pairing

    known = KnownTerminals()
    settings = Settings(known, name=name, tells=at_command.tell_link)
    reader = aio.Worker("till reads a code")  # no thread that an unread line would hold up

    async def ask() -> str:
        return await reader.call(_asked, script)

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    try:
        async with connect(which, settings, stranger=True) as terminal:
            if terminal.roles:
                say(
                    said("Terminal {serial} is paired with this PC already ({roles}); this asks "
                         "anew.", serial=terminal.serial, roles=", ".join(terminal.roles))
                )  # fmt: skip
            return await pairing.pair(terminal, known, roles, ask, say)
    finally:
        reader.abandon()


def _line() -> str:
    """A line of standard input, "" at its end. By the system's read: a thread that waits in
    Python's own buffered one must not be left behind when the program ends."""
    line = b""
    while b"\n" not in line and len(line) < _MOST_LINE:
        data = os.read(sys.stdin.fileno(), _MOST_LINE)
        if not data:
            break
        line += data
    return line.decode("ascii", "replace")


def _asked(script: bool) -> str:
    """Six digits; spaces between them are none. UserError: no line, or nothing but nonsense."""
    for _ in range(_TRIES):
        if not script:
            print(said("Type them here: "), end="", file=sys.stderr, flush=True)
        line = _line()
        if not line:
            raise UserError(said("no code was typed; nothing was paired"))
        digits = "".join(line.split())
        if _CODE.fullmatch(digits):
            return digits
        if script:
            break
        print(said("Six digits, as the terminal shows them."), file=sys.stderr, flush=True)
    raise UserError(said("no code was typed; nothing was paired"))
