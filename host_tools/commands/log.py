"""``till log``: what a terminal noted."""

from typing import Annotated

import typer

from host_tools.command_line import Language, command_app
from host_tools.pc_link import at_command
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.texts import said

app = command_app("Show what a terminal noted lately.")


@app.command()
def log(
    terminal: at_command.Which = "",
    after: Annotated[
        int, typer.Option(metavar="N", min=0, help="Only lines behind this number.")
    ] = 0,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="No more lines than this.")
    ] = 1000,
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Show the terminal's own notes, oldest first: no card numbers are in them.

    till watch --topic log follows them.
    """

    async def work(there: LinkedTerminal) -> tuple[list[tuple[int, str]], int]:
        call = await there.open("log", {1: after, 2: limit}, 30_000)
        lines: list[tuple[int, str]] = []
        async for item in at_command.items(call, limit):
            lines.append((item[1], item[2]))
        return lines, (await call.result())[1]

    lines, last = at_command.with_terminal(terminal, work)
    if as_json:
        at_command.show(
            {"lines": [{"number": number, "line": line} for number, line in lines], "last": last}
        )
    elif not lines:
        typer.echo(said("The terminal noted nothing since line {last}.", last=last))
    else:
        for number, line in lines:
            typer.echo(f"{number}: {line}")
