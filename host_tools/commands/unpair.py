"""``till unpair``: end a pairing at both ends, or another PC's at the terminal."""

import asyncio
import re
from typing import Annotated, Any

import typer

from firmware.link import services
from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command, keys, targets
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.connection import LinkedTerminal, Settings, connect
from host_tools.pc_link.discovery import printable
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.texts import said

app = command_app("End a pairing, at both ends.")

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@app.command()
def unpair(
    terminal: at_command.Which = "",
    here: Annotated[
        bool, typer.Option("--here", help="Forget it on this PC only; ask the terminal nothing.")
    ] = False,
    pcs: Annotated[
        bool, typer.Option("--list", help="Only list the PCs that the terminal knows.")
    ] = False,
    pc: Annotated[
        str,
        typer.Option(metavar="FINGERPRINT", help="Revoke another PC at the terminal, not this."),
    ] = "",
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """End the pairing of this PC with a terminal, on both of them.

    A terminal that is away keeps its entry until it is revoked in its own menu:
    this PC then says so.

    \b
    Examples:
      till unpair 00000042
      till unpair --list
      till unpair --pc 0011223344556677
    """
    if pc and not _FINGERPRINT.fullmatch(pc):
        raise Misuse(said("--pc takes the 16 hexadecimal digits that --list shows"))
    if (here, pcs, bool(pc)).count(True) > 1:
        raise Misuse(said("give one of --here, --list and --pc"))
    if pcs or pc:
        rows = at_command.with_terminal(terminal, lambda there: _others(there, pc))
        if as_json:
            at_command.show({"pcs": rows})
        elif rows:
            columns = [said("PC"), said("Roles"), said("Key")]
            table = [[row["name"], ", ".join(row["roles"]), row["fingerprint"]] for row in rows]
            at_command.console().print(at_command.table(columns, table))
        else:
            typer.echo(said("The terminal knows no PC."))
        return
    _tell(asyncio.run(_unpair(terminal, here)), as_json)


async def _others(terminal: LinkedTerminal, pc: str) -> list[dict[str, Any]]:
    """The terminal's pair table, ``pc`` revoked first."""
    if pc:
        await terminal.ask("pair_revoke", {1: pc})
    rows = (await terminal.ask("pairs"))[1]
    try:
        return [at_command.by_name(services.PAIR, services.check(services.PAIR, r)) for r in rows]
    except services.NotOfTable as error:
        raise UserError(said("the terminal's list is none ({cause})", cause=error)) from None


async def _unpair(which: str, here: bool) -> dict[str, Any]:
    known = KnownTerminals()
    entry = _known(known, which)
    problem = there = ""
    revoked = False
    if not here:
        try:
            target = await targets.resolve(entry.serial if entry is not None else which, known)
            async with connect(target, Settings(known), stranger=True) as terminal:
                entry = entry or known.get(terminal.serial)
                there = terminal.serial
                if entry is None and not terminal.roles:
                    raise UserError(
                        said(
                            "terminal {serial} and this PC are not paired", serial=printable(there)
                        )
                    )
                await _revoke(terminal)
                revoked = True
        except (CallFailed, UserError) as error:
            problem = str(error)
            if entry is None:
                raise
    if entry is None:
        if revoked:
            return {"terminal": there, "here": False, "there": True, "problem": ""}
        raise UserError(said("this PC knows no terminal {which}", which=which or "?"))
    known.remove(entry.serial)
    return {"terminal": entry.serial, "here": True, "there": revoked, "problem": problem}


def _known(known: KnownTerminals, which: str) -> Known | None:
    """The entry that the user means, by serial number or by its last place."""
    if not which:
        return None
    try:
        entry = known.get(which)
    except UserError:  # a damaged entry goes as well, by its serial number
        return Known(which, bytes(32))
    return entry or next((one for one in known.all() if one.place == which), None)


async def _revoke(terminal: LinkedTerminal) -> None:
    """Our own entry there; a terminal that forgot us has none."""
    if not terminal.roles:
        return
    try:
        await terminal.ask("pair_revoke", {1: services.fingerprint(keys.load().public)})
    except CallFailed as error:
        if error.code != services.LOST:
            raise
        await terminal.begin()  # says who we are to it now
        if terminal.roles:
            raise


def _tell(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        at_command.show(done)
        return
    serial = printable(done["terminal"])
    if done["there"]:
        typer.echo(said("Terminal {serial} and this PC are not paired any more.", serial=serial))
        return
    typer.echo(said("This PC forgot terminal {serial}.", serial=serial))
    typer.echo(said("The terminal still knows this PC: revoke it in the terminal's menu."))
    if done["problem"]:
        typer.echo(done["problem"])
