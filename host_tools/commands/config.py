"""``till config``: a terminal's settings, read, changed and taken back."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from firmware.link import config_set, services
from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command, keys
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.connection import LinkedTerminal, pc_name
from host_tools.pc_link.discovery import printable
from host_tools.texts import said

app = command_app("Read and change a terminal's settings.")

_WORDS = {"true": True, "false": False, "none": None}
#: Most of what a file of settings may hold, and settings of a terminal.
_MOST_FILE, _MOST_SETTINGS = 65536, 1024
#: Who made a set, as the terminal's journal tells it: characters.
_MOST_WHO = 32

From = Annotated[
    str,
    typer.Option(
        "--terminal", "-t", metavar="TERMINAL", help="Which terminal, as for till status."
    ),
]


@app.command()
def get(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="All, if none is given.")
    ] = None,
    terminal: From = "",
    before: Annotated[
        bool, typer.Option("--before", help="What the last change replaced instead.")
    ] = False,
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Show settings by name, and the version that they have."""

    async def work(there: LinkedTerminal) -> tuple[dict[str, Any], int]:
        return await _read(there, names or [], before)

    values, version = at_command.with_terminal(terminal, work)
    if as_json:
        at_command.show({"version": version, "values": values})
        return
    rows = [[name, _shown(value)] for name, value in values.items()]
    columns = [said("Setting"), said("Value, version {version}", version=version)]
    at_command.console().print(at_command.table(columns, rows))


@app.command("set")
def set_values(
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE")],
    terminal: From = "",
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Change settings: all that are named, or none.

    VALUE is true, false, none, a number, or text (in quotes: "12" is text).

    \b
    Example:
      till config set language=zh
    """
    wanted: dict[str, Any] = {}
    for one in values:
        name, equals, text = one.partition("=")
        if not equals or not name or name in wanted:
            raise Misuse(said("{word}: give each setting once, as NAME=VALUE", word=one))
        wanted[name] = _value(text)
    _push(terminal, wanted, as_json)


@app.command()
def push(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML or JSON: name = value.")],
    terminal: From = "",
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Change settings to those in a file; till config get --json makes one.

    The file's "values" are taken if it has them, else all of it.
    """
    _push(terminal, _file(file), as_json)


@app.command()
def revert(terminal: From = "", as_json: at_command.Json = False, language: Language = "") -> None:
    """Take the last change back. It becomes a version of its own, and can be reverted too."""

    async def work(there: LinkedTerminal) -> tuple[int, dict[str, Any]]:
        values, version = await _read(there, [], True)
        if not values:
            raise UserError(said("there is no change to take back"))
        return await _send(there, values, version), values

    _tell(*at_command.with_terminal(terminal, work), as_json)


def _push(terminal: str, values: dict[str, Any], as_json: bool) -> None:
    async def work(there: LinkedTerminal) -> int:
        _, version = await _read(there, list(values)[:1], False)
        return await _send(there, values, version)

    _tell(at_command.with_terminal(terminal, work), values, as_json)


def _tell(version: int, values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        at_command.show({"version": version, "values": values})
        return
    for name, value in values.items():
        typer.echo(f"{name} = {_shown(value)}")
    typer.echo(said("The terminal has taken it as version {version}.", version=version))


async def _read(
    there: LinkedTerminal, names: list[str], before: bool
) -> tuple[dict[str, Any], int]:
    arguments: dict[int, Any] = {1: names}
    if before:
        arguments[2] = True
    call = await there.open("config_get", arguments, 30_000)
    values: dict[str, Any] = {}
    try:
        async for item in at_command.items(call, _MOST_SETTINGS):
            values[printable(item[1], 64)] = at_command.clean(item[2])
        return values, (await call.result())[1]
    except CallFailed as error:
        if error.code != services.BAD_ARGUMENTS or not names:
            raise
        raise UserError(
            said(
                "{name}: no such setting; `till config get` lists them, -t names the terminal",
                name=printable(str(error.details.get(1, names[0])), 64),
            )
        ) from None


async def _send(there: LinkedTerminal, values: dict[str, Any], version: int) -> int:
    """The new version. The set is proved by this PC's key, for this terminal only."""
    try:
        made = config_set.made(version + 1, values, pc_name()[:_MOST_WHO], keys.load(), there.key)
    except ValueError as error:
        raise UserError(str(error)) from None
    if len(made) > config_set.MOST:
        raise UserError(said("too many settings at once; change them in parts"))
    answer: int = (await there.ask("config_push", {1: made}))[1]
    return answer


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 19:
        return int(text)
    return text


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_FILE + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    try:
        if len(raw) > _MOST_FILE:
            raise ValueError(f"more than {_MOST_FILE} bytes")
        text = raw.decode()
        read = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: {error}") from None
    values = read.get("values", read) if isinstance(read, dict) else None
    if not isinstance(values, dict) or not values:
        raise UserError(said("{path}: no settings in it; give name = value", path=path))
    for name, value in values.items():
        if value is not None and not isinstance(value, bool | int | str):
            raise UserError(
                said("{path}: {name} is no text, number, true, false or null", path=path,
                     name=name)
            )  # fmt: skip
    return values
