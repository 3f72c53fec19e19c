"""``till watch``: what a terminal does, as it happens."""

import time
from typing import Annotated, Any

import typer

from firmware.link import services
from host_tools.command_line import Language, Misuse, command_app
from host_tools.pc_link import at_command
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.pc_link.discovery import printable
from host_tools.pc_link.screen_text import framed
from host_tools.texts import said

app = command_app("Follow what a terminal does.")

TOPICS = ("status", "journal", "screen", "log")
#: Topic -> the service that would tell it, whose END or ITEM an item's map is.
_SHAPES = {
    "status": services.SERVICES["status"][3],
    "log": services.SERVICES["log"][2] or {},
    "screen": services.SERVICES["screen"][3],
    "journal": services.SERVICES["journal_read"][3],
}


@app.command()
def watch(
    terminal: at_command.Which = "",
    topic: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Several times: {', '.join(TOPICS)} [default: all]"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: an object a line.")
    ] = False,
    language: Language = "",
) -> None:
    """Follow what a terminal does until Ctrl-C: first how it is, then what is new.

    A pulled cable is waited for, and a terminal that started anew is asked anew.

    \b
    Examples:
      till watch
      till watch --topic journal --json
    """
    topics = list(dict.fromkeys(topic or TOPICS))
    for one in topics:
        if one not in TOPICS:
            raise Misuse(
                said("no topic {topic}; there are {topics}", topic=repr(one),
                     topics=", ".join(TOPICS))
            )  # fmt: skip

    def tell(item: dict[int, Any]) -> None:
        name, what = item[1], item[2]
        if name not in topics:
            return
        told = _named(name, what)
        if as_json:
            at_command.show({"topic": name, "time": int(time.time()), **told})
        else:
            for line in _lines(name, told):
                typer.echo(f"{time.strftime('%H:%M:%S')} {line}")

    async def work(there: LinkedTerminal) -> None:
        async for item in at_command.follow(there, "watch", {1: topics}):
            tell(item)

    at_command.with_terminal(terminal, work)


def _named(topic: str, what: dict[Any, Any]) -> dict[str, Any]:
    """By the table's names, as far as it is of the table."""
    try:
        good = services.check(_SHAPES[topic], what)
    except services.NotOfTable as error:
        return {"odd": printable(error, 128)}
    named: dict[str, Any] = at_command.clean(at_command.by_name(_SHAPES[topic], good))
    return named


def _lines(topic: str, told: dict[str, Any]) -> list[str]:
    if topic == "screen" and (drawn := framed(told.get("tree"))):
        return [topic, *drawn]
    if topic == "log" and "line" in told:
        return [f"{topic} {told['number']}: {told['line']}"]
    rest = ", ".join(f"{name} {_short(value)}" for name, value in told.items())
    return [f"{topic}: {rest}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:16] + "…"
