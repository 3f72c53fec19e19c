"""``till register``: cash registers start payments on the terminal."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link.at_command import Json
from host_tools.pc_link.calls import Terminal
from host_tools.texts import said

app = command_app("Let cash registers start payments on the terminal (docs/register.md).")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        help="Folder of register.toml and its keys; else in your settings folder.",
        show_default=False,
    ),
]


def folder_of(folder: Path | None) -> Path:
    """The folder that ``--folder`` names, else the usual one."""
    from host_tools import folders

    return folder if folder is not None else folders.config() / "register"


@app.command()
def setup(
    folder: Folder = None,
    register: Annotated[
        str, typer.Option(metavar="NAME", help="The register's name and KeyIdentifier.")
    ] = "till-1",
    sale_id: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A SaleID that it uses; any, if not given. Repeat it."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="This PC's name or address for registers. Repeat it."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace keys that are there.")] = False,
    as_json: Json = False,
    language: Language = "",
) -> None:
    """Make certificate, key and register.toml for a nexo register.

    The file register.toml holds the passphrase that the register is given; only its owner
    reads it.
    """
    from host_tools.register import setup as register_setup

    made = register_setup.make(folder_of(folder), register, sale_id or [], host or [], force)
    if as_json:
        typer.echo(json.dumps(made))
        return
    typer.echo(said("Settings and the register's passphrase: {path}", path=made["settings"]))
    typer.echo(said("Certificate file for the register: {path}", path=made["root"]))
    typer.echo(
        said(
            "The register needs: KeyIdentifier {key}, KeyVersion {version}, the passphrase",
            key=made["key"],
            version=made["version"],
        )
    )
    typer.echo(said("Start it with: till register run"))


@app.command()
def run(
    terminal: Annotated[
        str,
        typer.Argument(
            metavar="[TERMINAL]",
            help="As for till status; else the one of register.toml, else the only one.",
            show_default=False,
        ),
    ] = "",
    folder: Folder = None,
    nexo: Annotated[bool, typer.Option("--nexo", help="Sale-to-POI 3.0 over HTTPS.")] = False,
    concert: Annotated[
        str, typer.Option(metavar="PORT", help="Concert E/E+ on this serial port.")
    ] = "",
    caisse_ap: Annotated[
        bool, typer.Option("--caisse-ap", help="Caisse-AP over IP, as register.toml allows.")
    ] = False,
    mis: Annotated[bool, typer.Option("--mis", help="MIS records, on 127.0.0.1:9001.")] = False,
    as_json: Json = False,
    language: Language = "",
) -> None:
    """Serve registers until Ctrl-C: what is named, else all that register.toml sets up."""
    from dataclasses import replace

    from host_tools.register import settings as own

    place = folder_of(folder)
    path = place / own.FILE
    wanted = [
        name
        for name, given in ((own.NEXO, nexo), (own.CONCERT, concert), (own.CAISSE, caisse_ap),
                            (own.MIS, mis))
        if given
    ]  # fmt: skip
    needs_file = not wanted or nexo or caisse_ap or path.exists()
    settings = own.load(path) if needs_file else own.RegisterSettings()
    if concert:
        kept = settings.concert or own.ConcertSettings(concert)
        settings = replace(settings, concert=replace(kept, port=concert))
    if mis and settings.mis is None:
        settings = replace(settings, mis=own.plain_place(own.MIS, {}))
    for name in wanted:
        if name not in settings.names():
            raise UserError(said("{path} has no [{name}]", path=path, name=name))
    if not (wanted or settings.names()):
        raise Misuse(said("nothing to serve: name an adapter, or set one up in {path}", path=path))
    asyncio.run(_run(terminal or settings.terminal, settings, wanted, place, as_json))


async def _run(
    which: str, settings: object, wanted: list[str], folder: Path, as_json: bool
) -> None:
    from host_tools.pc_link.at_command import tell_link
    from host_tools.pc_link.connection import Settings, connect, till_version
    from host_tools.pc_link.discovery import printable
    from host_tools.register.runner import Adapters, Plug
    from host_tools.register.settings import RegisterSettings

    assert isinstance(settings, RegisterSettings)

    @contextlib.asynccontextmanager
    async def connected() -> AsyncIterator[Terminal]:
        async with connect(which, Settings(tells=tell_link)) as there:
            yield there

    def told(event: str, name: str, more: dict[str, Any]) -> None:
        if as_json:
            typer.echo(json.dumps({"event": event, "adapter": name, **more}))
        else:
            typer.echo(f"{name:<10} " + " ".join(str(value) for value in more.values()))

    plug = Plug(connected)
    adapters = Adapters(
        settings, wanted or settings.names(), plug, folder / "messages.sqlite", told,
        till_version(),
    )  # fmt: skip
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C comes as KeyboardInterrupt
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    try:
        await adapters.open()
        try:
            there = await plug()
            told("connected", "terminal", {"serial": printable(there.serial)})
        except UserError as error:
            told("absent", "terminal", {"reason": str(error)})
        serving = asyncio.ensure_future(adapters.serve())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if serving.done():
            await serving
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    finally:
        await adapters.close()
        await plug.close()
