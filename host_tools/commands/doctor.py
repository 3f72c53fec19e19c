"""``till doctor``: what stands between this PC and a terminal; or, on the terminal itself, what
each device of its board says of itself. Either with what to do."""

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

from host_tools import board_file, texts
from host_tools.command_line import Language, Misuse, command_app
from host_tools.commands.board import build_time, version
from host_tools.errors import UserError
from host_tools.texts import said

app = command_app("Find what is wrong with a terminal, its link, or a board's devices.")

ROOT = Path(__file__).resolve().parents[2]
#: A dead bus is given up after seconds; a device that holds its driver longer is named.
LIMIT_S = 120
_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@app.command()
def doctor(
    what: Annotated[
        str,
        typer.Argument(
            metavar="TERMINAL|BOARD",
            help="A terminal as for till status; or a board's name, its folder, or its file.",
            show_default=False,
        ),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Of a board: the terminal's data folder; an empty one if not given.",
        ),
    ] = None,
    write_udev_rule: Annotated[
        bool,
        typer.Option("--write-udev-rule", help="Linux: write the rule that opens USB ports."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines, both languages.")] = False,
    language: Language = "",
) -> None:
    """Find what is wrong, and say what to do.

    With a terminal: this PC's key, the port, who may open it and who has it
    open, the link, the pairing, the clocks, the terminal's own devices.

    With a board: each device, its driver and its bus. That runs on the terminal
    itself, while its app does not run; a board of software chips gets them here.

    Exits 1 if something failed.

    \b
    Examples:
      till doctor
      till doctor /dev/ttyACM0
      sudo till doctor --write-udev-rule
      till doctor virtual
    """
    if _is_board(what):
        if write_udev_rule:
            raise Misuse(said("--write-udev-rule is for terminals, not for boards"))
        _board(what, data, as_json)
    elif data is not None:
        raise Misuse(said("--data is for boards: name one"))
    else:
        _terminal(what, write_udev_rule, as_json)


def _is_board(what: str) -> bool:
    """UserError when it is neither a board nor anything that a terminal may be called."""
    from host_tools.pc_link import discovery, targets
    from host_tools.pc_link.known import KnownTerminals

    if not what:
        return False
    if targets.parse(what) is not None and not (what.endswith(".toml") or os.path.isdir(what)):
        return False
    try:
        board_file.find(what)
    except UserError:
        if any(one.serial == what for one in KnownTerminals().all()):
            return False
        if any(one.serial == what for one in discovery.usb_ports()):
            return False
        raise
    return True


def _terminal(which: str, write_rule: bool, as_json: bool) -> None:
    from host_tools.pc_doctor import checks, ports
    from host_tools.pc_link import at_command, discovery, terminal_words
    from host_tools.pc_link.known import KnownTerminals

    if write_rule:
        usb = next((one.usb for one in discovery.usb_ports() if which in (one.path, "")), "")
        place = ports.write_rule(usb)
        if as_json:
            at_command.show({"file": str(place)})
        else:
            typer.echo(
                said("Wrote {file}. Type: sudo udevadm control --reload, and plug the terminal in "
                     "again.", file=place)
            )  # fmt: skip
        return
    report = asyncio.run(checks.examine(which, KnownTerminals()))
    if as_json:
        table = report.table()
        at_command.show(table)
    else:
        for row in report.rows:
            _tell_row(row["state"], row["text"], row["do"])
        for row in report.devices:
            kind = terminal_words.device(row["kind"])
            name = f"{kind}: {row['driver']}" + (f" ({row['bus']})" if row["bus"] else "")
            _tell_row(row["state"], name, row["text"], row["cause"], row["do"])
        denied = any(r["check"] == "permission" and r["state"] == "fail" for r in report.rows)
        if denied and report.target is not None and sys.platform.startswith("linux"):
            typer.echo(said("The rule that `till doctor --write-udev-rule` writes:"))
            typer.echo(ports.udev_rule(report.target.usb))
    if not report.well:
        raise typer.Exit(1)


def _tell_row(state: str, head: str, *more: str) -> None:
    typer.echo(f"{_MARKS[state]}  {head}")
    for line in more:
        if line:
            typer.echo(f"      {line}")


def _board(board: str, data: Path | None, as_json: bool) -> None:
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
    language = "zh" if texts.language() == "zh" else "en"
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
