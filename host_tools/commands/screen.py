"""``till screen``: what a terminal shows."""

from typing import Annotated, Any

import typer

from host_tools.command_line import Language, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.pc_link.screen_text import framed
from host_tools.texts import said

app = command_app("Show what a terminal's screen shows.")


@app.command()
def screen(
    terminal: at_command.Which = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Show each new screen as well; Ctrl-C ends.")
    ] = False,
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Show what a terminal's screen shows, as text in a frame.

    PINs and card numbers never leave the terminal this way: their nodes show
    asterisks. The words are in the terminal's own language.

    \b
    Examples:
      till screen
      till screen --follow tcp://127.0.0.1:4455
    """

    def show(tree: Any) -> None:
        lines = framed(tree)
        if as_json:
            at_command.show(at_command.clean(tree))
        elif lines:
            typer.echo("\n".join(lines))
        else:
            raise UserError(said("the terminal shows nothing that can be drawn here"))

    async def work(there: LinkedTerminal) -> None:
        if not follow:
            show((await there.ask("screen"))[1])
            return
        async for item in at_command.follow(there, "watch", {1: ["screen"]}):
            show(item[2].get(1))

    at_command.with_terminal(terminal, work)
