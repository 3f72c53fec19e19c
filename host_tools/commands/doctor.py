"""``till doctor``: what each device of a board says of itself, and what to do."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools import board_file
from host_tools.command_line import command_app
from host_tools.commands.board import build_time, version
from host_tools.errors import UserError

app = command_app("Name each device of a board, its driver, its bus and its state.")

ROOT = Path(__file__).resolve().parents[2]
#: A dead bus is given up after seconds; a device that holds its driver longer is named.
LIMIT_S = 120
_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@app.command()
def doctor(
    board: Annotated[
        str, typer.Argument(metavar="BOARD", help="A board's name, its folder, or its file.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The terminal's data folder; an empty one if not given."),
    ] = None,
    language: Annotated[str, typer.Option(metavar="CODE", help="en or zh.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="For machines, both languages.")] = False,
) -> None:
    """Name each device of a board, its driver, its bus and its state.

    Runs on the terminal itself, while its app does not run; a board of software
    chips gets them here. What is wrong comes with its cause and what to do.
    Exits 1 if a device failed.

    \b
    Examples:
      till doctor virtual
      till doctor rpi-zero-2w --language zh
    """
    if language not in ("en", "zh"):
        raise UserError(f"no language {language!r}; known: en, zh")
    if data is not None and not data.is_dir():
        raise UserError(f"{data}: no such folder; --data is the terminal's own, or left out")
    described = board_file.read(board_file.find(board))
    with tempfile.TemporaryDirectory(prefix="opentill-") as scratch:
        folder = Path(scratch)
        module = board_file.module_text(board_file.compiled(described, version(), build_time()))
        (folder / "board.py").write_text(module, encoding="utf-8")
        words = ["--board", str(folder / "board.py"), "--data", str(data or folder / "data")]
        if described["board"].get("emulated"):
            report = asyncio.run(_with_chips(described, folder, words))
        else:
            report = _report(_run(words))
    devices = report["devices"]
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        for device in devices:
            _tell(device, language)
        if data is not None and report["wear"] is not None:
            _tell_wear(report["wear"], language)
    if any(device["state"] == "fail" for device in devices):
        raise typer.Exit(1)


def _run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            [sys.executable, "-m", "firmware.doctor", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError(f"the devices did not answer within {LIMIT_S} s") from None


def _report(ended: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    lines = ended.stdout.splitlines()
    if not lines:
        said = ended.stderr.strip().splitlines()
        raise UserError(said[-1] if said else f"the examination ended with code {ended.returncode}")
    report: dict[str, Any] = json.loads(lines[-1])
    return report


async def _with_chips(described: dict[str, Any], folder: Path, words: list[str]) -> dict[str, Any]:
    """The same against software chips, which are made for it."""
    from host_tools.emulator.rack import Rack
    from host_tools.emulator.rack_server import RackServer

    rack = Rack(lambda: time.monotonic_ns() // 1000, None, described)
    seconds, past_ns = divmod(time.time_ns(), 1_000_000_000)
    rack.rtc.set(seconds, past_ns // 1000)
    server = RackServer(rack)
    socket = folder / "wire"
    await server.listen_unix(str(socket))
    try:
        return _report(await asyncio.to_thread(_run, [*words, "--wire", str(socket)]))
    finally:
        await server.close()


def _tell(device: dict[str, Any], language: str) -> None:
    words = device["words"][language]
    buses = ", ".join(_place(bus) for bus in device["buses"])
    on = f" on {buses}" if buses else ""
    if device["interface"]:
        on += f", interface {device['interface']}"
    name = f" {device['name']}" if device["name"] else ""
    typer.echo(f"{_MARKS[device['state']]}  {words['device']}{name}: {device['driver']}{on}")
    told = [words[part].replace("\n", " ") for part in ("problem", "do") if part in words]
    for line in (" - ".join(told), device["cause"], words.get("engineer", ""), device["says"]):
        if line:
            typer.echo(f"      {line}")


def _tell_wear(wear: dict[str, Any], language: str) -> None:
    """Counters of the data folder's journal, and what is due for service by them."""
    for row in wear["counters"]:
        total = "-" if row["total"] is None else str(row["total"])
        unit = " mm" if row["name"] == "paper_mm" and row["total"] is not None else ""
        typer.echo(f"      {row['words'][language]}: {total}{unit}")
    for part in wear["due"]:
        typer.echo(f"warn  {part['words'][language]}: {part['used']} >= {part['limit']}")


def _place(bus: dict[str, Any]) -> str:
    """ "i2c1 (linux_i2c, port 1)"."""
    rest = [
        f"{key} {hex(value) if key == 'address' else value}"
        for key, value in bus.items()
        if key not in ("name", "driver")
    ]
    return f"{bus['name']} ({', '.join([str(bus.get('driver', '?')), *rest])})"
