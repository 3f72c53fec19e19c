"""What every command shares that talks to a terminal: its options, the connection, tables.

@app.command()
def status(terminal: Which = "", as_json: Json = False, language: Language = "") -> None:
    with_terminal(terminal, work)       # work: async, takes the LinkedTerminal
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from firmware.link import services
from host_tools.pc_link import refusals
from host_tools.pc_link.calls import Call, CallFailed
from host_tools.pc_link.connection import LinkedTerminal, Settings, connect
from host_tools.pc_link.discovery import printable
from host_tools.texts import said

T = TypeVar("T")

#: Between two tries to reach a terminal that is followed.
AGAIN_S = 1.0

Which = Annotated[
    str,
    typer.Argument(
        metavar="TERMINAL",
        help="Its serial number, a port such as /dev/ttyACM0 or COM5, or tcp://host:port; "
        "OPENTILL_LINK, or the only one, if not given.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def with_terminal(
    which: str, work: Callable[[LinkedTerminal], Awaitable[T]], stranger: bool = False
) -> T:
    """Connect, do ``work``, close. UserError; Ctrl-C ends it in good order."""
    return asyncio.run(_work(which, work, stranger))


async def _work(which: str, work: Callable[[LinkedTerminal], Awaitable[T]], stranger: bool) -> T:
    async with connect(which, Settings(tells=tell_link), stranger) as terminal:
        return await work(terminal)


async def items(call: Call, most: int) -> AsyncIterator[dict[int, Any]]:
    """The ITEMs of a request that has at most so many. CallFailed, also for one more."""
    count = 0
    async for item in call.items():
        count += 1
        if count > most:
            await call.cancel()
            raise refusals.refused(refusals.ANSWER, {1: f"more than {most} items"})
        yield item


async def follow(
    there: LinkedTerminal, service: str, arguments: dict[int, Any]
) -> AsyncIterator[dict[int, Any]]:
    """The ITEMs of a request that never ends; asked anew when the terminal has started anew.
    CallFailed for any other reason. A follower that stops gives the request up."""
    while True:
        try:
            call = await there.open(service, arguments)
            try:
                async for item in call.items():
                    yield item
                return
            except (asyncio.CancelledError, GeneratorExit):
                await call.cancel()
                raise
        except CallFailed as error:
            if error.code != services.LOST:
                raise
        await asyncio.sleep(AGAIN_S)


def tell_link(what: str) -> None:
    """Say on standard error what became of the connection."""
    if what == "lost":
        text = said("The connection was lost; waiting for the cable ... (Ctrl-C ends)")
    elif what == "resumed":
        text = said("Connected again; going on.")
    else:
        text = said("Connected anew.")
    print(text, file=sys.stderr, flush=True)


def console(error: bool = False) -> Any:
    """rich's console, which takes a terminal's words for words and no markup."""
    from rich.console import Console

    return Console(stderr=error, markup=False, highlight=False, emoji=False)


def show(value: Any) -> None:
    """One JSON object on standard output."""
    typer.echo(json.dumps(plain(value), ensure_ascii=False))


def plain(value: Any) -> Any:
    """JSON-able: bytes as hexadecimal digits, keys as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def by_name(schema: "services.Schema", value: dict[int, Any]) -> dict[str, Any]:
    """A checked message with the table's names as keys."""
    return {
        schema[key][0].replace(" ", "_"): plain(one) for key, one in value.items() if key in schema
    }


def end_of(service: str, value: dict[int, Any]) -> dict[str, Any]:
    """An END of ``service`` with the table's names."""
    return by_name(services.SERVICES[service][3], value)


def items_of(service: str, value: dict[int, Any]) -> dict[str, Any]:
    """An ITEM of ``service`` with the table's names."""
    return by_name(services.SERVICES[service][2] or {}, value)


def table(columns: list[str], rows: list[list[str]]) -> Any:
    """A table for ``console``: a word that is too long goes on in the next line."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def clean(value: Any, most: int = 256) -> Any:
    """A value of which the table says no more than that it is a list or a map, for people and
    JSON: every text short and without control characters."""
    if isinstance(value, str):
        return printable(value, most)
    if isinstance(value, dict):
        return {clean(str(key), 64): clean(one, most) for key, one in value.items()}
    if isinstance(value, list):
        return [clean(one, most) for one in value]
    return plain(value)
