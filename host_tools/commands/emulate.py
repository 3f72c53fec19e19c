"""``till emulate``: a virtual handheld with its bank, and the page that shows it."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from host_tools.errors import UserError

app = typer.Typer(add_completion=False, help=__doc__)

STATES = ("fresh", "ready", "signed-in", "reversal-owed", "paper-out", "clock-skewed")
FIRST_PORT = 8370
PORTS_TRIED = 20


Port = Annotated[int, typer.Option(help="Port of the page; another is taken if it is in use.")]
State = Annotated[str, typer.Option(help="Start in this state: " + ", ".join(STATES))]
Data = Annotated[str, typer.Option(help="The terminal's folder; a fresh temporary one if empty.")]
Board = Annotated[str, typer.Option(help="Board to emulate.")]
Language = Annotated[str, typer.Option(help="First language of the terminal: en or zh.")]
Seed = Annotated[int, typer.Option(help="Seed of the chips' randomness; -1: the system's.")]
Command = Annotated[
    str,
    typer.Option(help="Run this against the emulator (address in OPENTILL_URL); exit as it does."),
]


@app.command()
def emulate(
    port: Port = FIRST_PORT,
    state: State = "ready",
    data: Data = "",
    board: Board = "virtual",
    language: Language = "en",
    command: Command = "",
    seed: Seed = -1,
) -> None:
    """Start the virtual handheld."""
    if state not in STATES:
        raise UserError(f"no state {state!r}; known: {', '.join(STATES)}")
    if language not in ("en", "zh"):
        raise UserError(f"no language {language!r}; known: en, zh")
    with contextlib.ExitStack() as stack:
        folder = (
            Path(data)
            if data
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="opentill-")))
        )
        try:
            code = asyncio.run(
                _serve(folder, port, state, board, language, command, None if seed < 0 else seed)
            )
        except KeyboardInterrupt:
            code = 0
    raise typer.Exit(code)


def _listen(port: int) -> socket.socket:
    """A listening socket on loopback at ``port`` or the next free one."""
    for candidate in range(port, port + PORTS_TRIED):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", candidate))
        except OSError:
            server.close()
            continue
        if candidate != port:
            print(f"Port {port} is taken; using {candidate}.")
        return server
    raise UserError(f"ports {port} to {port + PORTS_TRIED - 1} are all taken; give --port")


async def _serve(
    folder: Path, port: int, state: str, board: str, language: str, command: str, seed: int | None
) -> int:
    import uvicorn

    from host_tools.emulator import scripted
    from host_tools.emulator.machine import Machine, running
    from host_tools.emulator.page import Page

    listener = _listen(port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    print("Starting the test bank and the virtual terminal ...", flush=True)
    machine = Machine(folder, board, seed)
    scripted.before_power(machine, state, language)
    async with running(machine):
        page = Page(machine)
        config = uvicorn.Config(page.app, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = asyncio.create_task(page.watch())
        try:
            await scripted.after_power(machine, state)
            if command:
                return await _run(command, address)
            _announce(address, machine)
            await _until_interrupted(watching)
            return 0
        finally:
            watching.cancel()
            server.should_exit = True
            server.force_exit = True
            await asyncio.gather(serving, watching, return_exceptions=True)


def _announce(address: str, machine: object) -> None:
    print(f"The virtual handheld is at {address}   (Ctrl-C ends it)")
    print('Try: key an amount, Enter, insert the card "approve", its PIN, Enter.', flush=True)
    desktop = (
        os.environ.get("DISPLAY")
        or os.environ.get("WAYLAND_DISPLAY")
        or sys.platform
        in (
            "darwin",
            "win32",
        )
    )
    if desktop and sys.stdout.isatty():
        webbrowser.open(address)


async def _until_interrupted(watching: "asyncio.Task[None]") -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        watching.result()
    print("\nEnding.", flush=True)


async def _run(command: str, address: str) -> int:
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command), env={**os.environ, "OPENTILL_URL": address}
    )
    return await process.wait()
