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
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools.command_line import command_app
from host_tools.errors import UserError

app = command_app("Start the virtual handheld.")

STATES = ("fresh", "ready", "signed-in", "reversal-owed", "paper-out", "clock-skewed")
FIRST_PORT = 8370
PORTS_TRIED = 20
#: Exit codes as a shell's: command not found, not to be run, ended by a signal.
NOT_FOUND, NOT_RUNNABLE, BY_SIGNAL = 127, 126, 128


Port = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Port of the page; another is taken if it is in use. 0: any.",
        min=0,
        max=65_535,
    ),
]
State = Annotated[
    str, typer.Option(metavar="NAME", help="Start in this state: " + ", ".join(STATES) + ".")
]
Data = Annotated[
    str,
    typer.Option(
        metavar="DIR",
        help="Folder that keeps terminal, bank and cards between runs; else a temporary one.",
    ),
]
Board = Annotated[str, typer.Option(metavar="NAME", help="Board to emulate.")]
Language = Annotated[
    str, typer.Option(metavar="CODE", help="First language of a new terminal: en or zh.")
]
Seed = Annotated[
    int, typer.Option(metavar="N", help="Seed of the chips' randomness; -1: the system's.")
]
Command = Annotated[
    str | None,
    typer.Option(
        metavar="CMD",
        help="Run this program (by itself, not in a shell) with the page's address in "
        "OPENTILL_URL, where the PC's tools find the terminal in OPENTILL_LINK, and exit as it "
        "does.",
    ),
]
Trace = Annotated[
    str,
    typer.Option(metavar="KIND", help="The kernel's trace: masked, or full (test keys only)."),
]
PcPort = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Port of 127.0.0.1 that the PC link listens on, 0: any; else a pseudo-terminal.",
        min=-1,
        max=65_535,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Plan:
    """What the options asked for."""

    folder: Path
    keep: bool
    port: int
    state: str
    board: str
    language: str
    seed: int | None
    trace: str
    pc_port: int | None
    command: list[str]


@app.command()
def emulate(
    port: Port = FIRST_PORT,
    state: State = "ready",
    data: Data = "",
    board: Board = "virtual",
    language: Language = "en",
    command: Command = None,
    seed: Seed = -1,
    trace: Trace = "masked",
    pc_port: PcPort = -1,
) -> None:
    """Start the virtual handheld with its bank, and serve its page.

    \b
    Examples:
      till emulate
      till emulate --state reversal-owed --data my-terminal
      till emulate --state signed-in --command "python3 docs/examples/pay.py"
    """
    if state not in STATES:
        raise UserError(f"no state {state!r}; known: {', '.join(STATES)}")
    if language not in ("en", "zh"):
        raise UserError(f"no language {language!r}; known: en, zh")
    if trace not in ("masked", "full"):
        raise UserError(f"no trace {trace!r}; known: masked, full")
    try:
        words = shlex.split(command or "")
    except ValueError as error:
        raise UserError(f"--command cannot be read: {error}") from None
    if command is not None and not words:
        raise typer.BadParameter("is empty; leave it out to serve the page", param_hint="--command")
    with contextlib.ExitStack() as stack:
        folder = Path(data).absolute() if data else None
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="opentill-")
            folder = Path(stack.enter_context(temporary))
        wanted = None if seed < 0 else seed
        cable = None if pc_port < 0 else pc_port
        plan = Plan(folder, bool(data), port, state, board, language, wanted, trace, cable, words)
        code = asyncio.run(_until_signal(_serve(plan), bool(words)))
    raise typer.Exit(code)


async def _until_signal(work: "Coroutine[Any, Any, int]", has_command: bool) -> int:
    """Run ``work``; SIGINT, SIGTERM and SIGHUP end it in good order, at any moment."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        if len(received) == 1:  # a second Ctrl-C does not break the ending
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return BY_SIGNAL + received[0] if has_command else 0


def _listen(port: int) -> socket.socket:
    """A listening socket on loopback at ``port`` or the next free one."""
    last = min(port + PORTS_TRIED, 65_536)
    for candidate in range(port, last):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", candidate))
            server.listen(128)
        except OSError:
            server.close()
            continue
        if candidate != port:
            print(f"Port {port} is taken; using {candidate}.")
        return server
    raise UserError(f"ports {port} to {last - 1} cannot be had; give --port")


async def _serve(plan: Plan) -> int:
    from host_tools.emulator import scripted
    from host_tools.emulator.machine import Machine, running
    from host_tools.emulator.page import Page
    from host_tools.quiet_uvicorn import QuietServer

    machine = Machine(
        plan.folder, plan.board, plan.seed, language=plan.language, keep=plan.keep,
        trace=plan.trace, pc_port=plan.pc_port,
    )  # fmt: skip
    async with running(machine, start=False), contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(plan.port))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        print("Starting the test bank and the virtual terminal ...", flush=True)
        scripted.before_power(machine, plan.state, plan.language)
        page = Page(machine)
        await machine.start()
        server = QuietServer(page.app, websockets=True)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = asyncio.create_task(page.watch())
        try:
            await scripted.after_power(machine, plan.state)
            if plan.command:
                return await _run(plan.command, address, machine.pc.target)
            _announce(address, machine.pc.target)
            await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, watching):
                if task.done():
                    task.result()
            return 1
        except asyncio.CancelledError:
            print("\nEnding.", flush=True)
            raise
        finally:
            watching.cancel()
            page.close()
            server.should_exit = True
            server.force_exit = True
            await asyncio.gather(serving, watching, return_exceptions=True)


def _announce(address: str, pc: str) -> None:
    print(f"The virtual handheld is at {address}   (Ctrl-C ends it)")
    if pc:
        print(f"For the PC's tools it is at {pc}")
    print('Try: key an amount, Enter, insert the card "approve", its PIN, Enter.', flush=True)
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if (screen or sys.platform in ("darwin", "win32")) and sys.stdout.isatty():
        webbrowser.open(address)


async def _run(command: list[str], address: str, pc: str) -> int:
    """The command's exit code, as a shell would give it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "OPENTILL_URL": address, "OPENTILL_LINK": pc}
        )
    except FileNotFoundError:
        print(f"till emulate: {command[0]}: no such command", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"till emulate: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_RUNNABLE
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    return BY_SIGNAL - code if code < 0 else code
