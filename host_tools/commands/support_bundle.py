"""``till support-bundle``: what a supporter needs, and nothing that he must not see."""

import asyncio
import io
import json
import platform
import secrets
import sys
import time
import zipfile
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools import whole_file
from host_tools.command_line import Language, command_app
from host_tools.errors import UserError
from host_tools.pc_doctor import checks
from host_tools.pc_link import at_command
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.connection import LinkedTerminal, Settings, connect
from host_tools.pc_link.known import KnownTerminals
from host_tools.redaction import redacted, redacted_tree
from host_tools.texts import said

app = command_app("Gather what a supporter needs into one file.")

#: Letters and digits that nobody mistakes on the telephone (Crockford's base 32).
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MOST_LINES = 1000
#: A terminal that does not answer must not keep the rest from being gathered.
_MOST_S = 120


@app.command("support-bundle")
def support_bundle(
    terminal: at_command.Which = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file [default: opentill-support-ID.zip]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Gather what a supporter needs: versions, the doctor's findings, the terminal's
    state, settings and notes.

    Card numbers, tracks, keys and this computer's names are taken out. Parts that
    cannot be had say why. Read the file before you send it: it is plain text.
    """
    incident = "".join(secrets.choice(_LETTERS) for _ in range(8))
    path = out or Path(f"opentill-support-{incident}.zip")
    if path.exists() and not force:
        raise UserError(said("{path} is there already; --force replaces it", path=path))
    parts = {"about.json": _about(incident), **asyncio.run(_gathered(terminal, not as_json))}
    try:
        whole_file.write(path, _zipped(parts))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if as_json:
        at_command.show({"incident": incident, "file": str(path), "parts": sorted(parts)})
    else:
        typer.echo(said("Incident {incident}: {path}", incident=incident, path=path))
        typer.echo(said("Look into it before you send it; tell your supporter the incident's "
                        "number."))  # fmt: skip


def _about(incident: str) -> dict[str, Any]:
    wanted = ("opentill", "cryptography", "pyserial", "keyring", "sqlalchemy", "typer", "rich")
    packages = {}
    for name in wanted:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "-"
    return {
        "incident": incident,
        "made": int(time.time()),
        "python": sys.version,
        "system": platform.platform(),
        "packages": packages,
    }


async def _gathered(which: str, shown: bool) -> dict[str, Any]:
    known = KnownTerminals()
    parts: dict[str, Any] = {}
    steps: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("known.json", lambda: _known(known)),
        ("doctor.json", lambda: _doctor(which, known)),
        ("terminal.json", lambda: _terminal(which, known)),
    ]
    from rich.progress import Progress

    with Progress(console=at_command.console(error=True), disable=not shown) as progress:
        task = progress.add_task(said("Gathering"), total=len(steps))
        for name, step in steps:
            try:
                async with asyncio.timeout(_MOST_S):
                    parts[name] = await step()
            except TimeoutError:
                parts[name] = {"problem": "time"}
            except (UserError, OSError) as error:
                parts[name] = {"problem": str(error)}
            progress.advance(task)
    return parts


async def _known(known: KnownTerminals) -> list[dict[str, Any]]:
    return [
        {
            "terminal": one.serial,
            "board": one.board,
            "roles": list(one.roles),
            "fingerprint": one.fingerprint,
            "confirmed": one.confirmed,
            "place": one.place,
        }
        for one in known.all()
    ]


async def _doctor(which: str, known: KnownTerminals) -> dict[str, Any]:
    return (await checks.examine(which, known)).table()


async def _terminal(which: str, known: KnownTerminals) -> dict[str, Any]:
    async with connect(which, Settings(known), stranger=True) as there:
        told: dict[str, Any] = {"serial": there.serial, "firmware": there.firmware}
        told["hello"] = at_command.clean(at_command.end_of("hello", there.hello))
        for name, ask in (("status", _status), ("settings", _settings), ("log", _log)):
            try:
                told[name] = await ask(there)
            except CallFailed as error:
                told[name] = {"problem": str(error)}
        return told


async def _status(there: LinkedTerminal) -> Any:
    return at_command.clean(at_command.end_of("status", await there.ask("status")))


async def _settings(there: LinkedTerminal) -> Any:
    call = await there.open("config_get", {1: []}, 30_000)
    values: dict[str, Any] = {}
    async for item in at_command.items(call, _MOST_LINES):
        values[item[1]] = at_command.clean(item[2])
    return {"version": (await call.result())[1], "values": values}


async def _log(there: LinkedTerminal) -> Any:
    call = await there.open("log", {1: 0, 2: _MOST_LINES}, 30_000)
    lines: list[str] = []
    async for item in at_command.items(call, _MOST_LINES):
        lines.append(f"{item[1]}: {item[2]}")
    await call.result()
    return lines


def _zipped(parts: dict[str, Any]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            text = json.dumps(redacted_tree(part), ensure_ascii=False, indent=1)
            archive.writestr(name, redacted(text) + "\n")
    return made.getvalue()
