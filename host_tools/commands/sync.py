"""``till sync``: a terminal's journal into this PC's database."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command, clock
from host_tools.pc_link.discovery import printable
from host_tools.store import telling
from host_tools.texts import said

if TYPE_CHECKING:
    from host_tools.store.database import Store
    from host_tools.store.sync import Progress, Synced

app = command_app("Take a terminal's journal into this PC's database.")

#: Seconds before a terminal that went away is looked for again.
_LEAST_WAIT, _MOST_WAIT = 2, 60


@app.command()
def sync(
    terminal: at_command.Which = "",
    every: Annotated[
        bool, typer.Option("--all", help="All terminals that this PC is paired with.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Check all records; fold payments anew.")
    ] = False,
    cut_off: Annotated[
        int,
        typer.Option(
            metavar="HOUR",
            help="With --rebuild: business days begin at this hour.",
            min=-1,
            max=12,
            show_default="as it is",
        ),
    ] = -1,
    alarms: Annotated[bool, typer.Option("--alarms", help="List alarms not seen yet.")] = False,
    seen: Annotated[bool, typer.Option("--seen", help="With --alarms: they are seen now.")] = False,
    database: telling.Url = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: an object a line.")
    ] = False,
    language: Language = "",
) -> None:
    """Take what is new in a terminal's journal into this PC's database.

    Each record comes once, whenever the cable, the terminal or this PC is cut off.
    Exits 1 when there is an alarm: somebody must look.

    \b
    Examples:
      till sync
      till sync --all --watch
      till sync --rebuild --cut-off 4
    """  # fmt: skip
    if sum((bool(terminal), every, rebuild, alarms)) > 1 or (watch and (rebuild or alarms)):
        raise Misuse(said("give one of TERMINAL, --all, --rebuild, --alarms"))
    if (seen and not alarms) or (cut_off >= 0 and not rebuild):
        raise Misuse(said("--seen goes with --alarms, --cut-off with --rebuild"))

    from host_tools.store import database as databases

    store = databases.open(database)
    try:
        if rebuild:
            code = _rebuild(store, cut_off, as_json)
        elif alarms:
            code = _alarms(store, seen, as_json)
        else:
            places = _paired() if every else [terminal]
            code = asyncio.run(_sync(store, places, watch, as_json))
    finally:
        store.close()
    if code:
        raise typer.Exit(code)


def _paired() -> list[str]:
    from host_tools.pc_link.known import KnownTerminals

    serials = [one.serial for one in KnownTerminals().all() if "sync" in one.roles]
    if not serials:
        raise UserError(said("this PC is paired with no terminal for sync; type: till pair"))
    return serials


# -- with terminals


async def _sync(store: "Store", places: list[str], watch: bool, as_json: bool) -> int:
    """Each terminal; the exit code."""
    if watch:
        await asyncio.gather(*[_watch(store, place, as_json) for place in places])
        return 1  # each was stopped by an alarm
    code = 0
    for place in places:
        try:
            with telling.bar(as_json) as progress:
                done = await _once(store, place, progress)
        except UserError as error:
            if len(places) == 1:
                raise
            _tell_failure(place, error, as_json)
            code = 1
            continue
        _tell(done, as_json)
        code = 1 if done.alarms else code
    return code


async def _once(store: "Store", place: str, progress: "Progress") -> "Synced":
    from host_tools.pc_link.connection import Settings, connect
    from host_tools.store.sync import sync as run

    async with connect(place, Settings(tells=at_command.tell_link)) as there:
        return await run(store, there, progress)


async def _watch(store: "Store", place: str, as_json: bool) -> None:
    """Follow one terminal, through pulled cables and restarts, until an alarm stops it."""
    from host_tools.pc_link.connection import Settings, connect
    from host_tools.store.sync import follow

    wait = _LEAST_WAIT
    while True:
        try:
            async with connect(place, Settings(tells=at_command.tell_link)) as there:
                async for done in follow(store, there):
                    wait = _LEAST_WAIT
                    _tell(done, as_json)
                    if done.stopped:
                        return
        except UserError as error:
            _tell_failure(place, error, as_json)
        await asyncio.sleep(wait)
        wait = min(wait * 2, _MOST_WAIT)


# -- with the database alone


def _rebuild(store: "Store", cut_off: int, as_json: bool) -> int:
    from host_tools.store import intake
    from host_tools.store.rebuild import rebuild

    if cut_off >= 0:
        store.change(lambda connection: intake.set_cut_off_hour(connection, cut_off))
    with telling.bar(as_json) as progress:
        found = rebuild(store, int(time.time()), progress)
    if as_json:
        at_command.show({"alarms": [telling.alarm(one) for one in found]})
        return 1 if found else 0
    telling.alarms(found)
    if not found:
        typer.echo(said("The records are whole; payments were folded anew."))
    return 1 if found else 0


def _alarms(store: "Store", seen: bool, as_json: bool) -> int:
    from host_tools.store import intake

    with store.read() as connection:
        found = intake.unseen(connection)
    if as_json:
        rows = [telling.alarm(told) | {"serial": serial, "at": at} for serial, at, told in found]
        at_command.show({"alarms": rows})
    else:
        for serial, at, told in found:
            moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
            typer.echo(f"{moment} {printable(serial)}: {told.text}")
        if not found:
            typer.echo(said("No alarms."))
    if seen:
        store.change(intake.see)
    return 1 if found and not seen else 0


# -- words


def _tell(done: "Synced", as_json: bool) -> None:
    if as_json:
        at_command.show(done.as_dict())
        return
    serial = printable(done.serial)
    typer.echo(
        said("{serial}: {new} new records; this PC has all up to {last} of {head}",
             serial=serial, new=done.new, last=done.place.sequence, head=done.head)
    )  # fmt: skip
    ahead = done.clock_offset_s
    if ahead is None or abs(ahead) >= clock.NOTED_S:
        typer.echo(said("{serial}: its clock is {words}", serial=serial, words=clock.words(ahead)))
    telling.alarms(done.alarms)


def _tell_failure(place: str, error: UserError, as_json: bool) -> None:
    if as_json:
        at_command.show({"serial": place, "error": str(error), "complete": False})
    else:
        typer.echo(f"{printable(place)}: {error}", err=True)
