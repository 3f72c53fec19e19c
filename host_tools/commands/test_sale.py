"""``till test-sale``: a payment to practise, which leaves no record of money."""

from typing import Annotated, Any

import typer

from host_tools.command_line import Language, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.pc_link.terminal_words import words
from host_tools.texts import later, said

app = command_app("Try a payment's steps on a terminal, without money.")

#: Nobody waits longer for a card.
_DEADLINE_MS = 300_000
_MOST_STEPS = 64
_STEPS = {
    "amount": later("amount shown"),
    "card": later("card read"),
    "host": later("bank reached"),
    "print": later("printed"),
}
_OUTCOMES = {"cancelled": later("given up"), "failed": later("failed")}


@app.command("test-sale")
def test_sale(
    amount: Annotated[
        int, typer.Argument(metavar="AMOUNT", min=1, max=999_999_999_999,
                            help="In minor units: 100 is 1.00 of a currency with cents.")
    ],
    terminal: at_command.Which = "",
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:  # fmt: skip
    """Try a payment's steps on a terminal: amount, card, line to the bank, paper.

    No money moves and the journal gets no record of any. Exits 1 unless it was
    done to its end.

    \b
    Example:
      till test-sale 100
    """

    async def work(there: LinkedTerminal) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        call = await there.open("test_sale", {1: amount}, _DEADLINE_MS)
        steps = []
        async for item in at_command.items(call, _MOST_STEPS):
            step = at_command.clean(at_command.items_of("test_sale", item))
            steps.append(step)
            if not as_json:
                name = step["step"]
                told = said(_STEPS[name]) if name in _STEPS else name
                typer.echo(f"{step['took_ms']:>7} ms  {told}")
        return steps, at_command.clean(at_command.end_of("test_sale", await call.result()))

    steps, end = at_command.with_terminal(terminal, work)
    if as_json:
        at_command.show({"steps": steps, **end})
    if end["outcome"] != "done":
        outcome = said(_OUTCOMES[end["outcome"]]) if end["outcome"] in _OUTCOMES else end["outcome"]
        text = said("the test ended: {outcome} ({reason})", outcome=outcome,
                    reason=words(end["reason"]) or "-")  # fmt: skip
        if as_json:
            raise typer.Exit(1)
        raise UserError(text)
    if not as_json:
        typer.echo(said("Done. No money moved."))
