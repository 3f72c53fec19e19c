"""``till board``: check and build board files."""

import importlib.metadata
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from host_tools import board_file, board_rules, board_wiring
from host_tools.command_line import command_app

app = command_app("Check and build board files.")

_BoardArgument = Annotated[
    str, typer.Argument(metavar="BOARD", help="A board's name, its folder, or its file.")
]


@app.command()
def check(board: _BoardArgument = "") -> None:
    """Check one board file, or all of them if none is named.

    \b
    Examples:
      till board check
      till board check rpi-zero-2w
    """
    names = [board] if board else board_file.known()
    if not names:
        raise board_file.BoardFileError(f"no board file under {board_rules.BOARDS}")
    problems: list[str] = []
    for name in names:
        path = board_file.find(name)
        try:
            data = board_file.read(path)
        except board_file.BoardFileError as error:
            problems.append(str(error))
        else:
            devices = [kind for kind in board_rules.DEVICES if kind in data]
            typer.echo(f"{path}: good ({', '.join(devices)})")
    if problems:
        raise board_file.BoardFileError("\n".join(problems))


@app.command()
def build(
    board: _BoardArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The module to write.")],
    serial: Annotated[
        str, typer.Option(metavar="TEXT", help="Serial number, instead of the board file's.")
    ] = "",
) -> None:
    """Compile a board file into the module that the firmware reads.

    \b
    Example:
      till board build virtual --out board.py
    """
    data = board_file.read(board_file.find(board))
    if serial and not (len(serial) <= 20 and serial.isascii() and serial.isprintable()):
        raise board_file.BoardFileError("--serial: must be 1 to 20 printable ASCII characters")
    module = board_file.module_text(
        board_file.compiled(data, version(), build_time(), serial or None)
    )
    try:
        out.write_text(module, encoding="utf-8")
    except OSError as error:
        raise board_file.BoardFileError(f"{out}: {error.strerror}") from None
    typer.echo(f"{out}: board {data['board']['name']}")


def version() -> str:
    """The project's version."""
    try:
        return importlib.metadata.version("opentill")
    except importlib.metadata.PackageNotFoundError:
        return "0.1.0"


def build_time() -> int:
    """Unix seconds of the build; SOURCE_DATE_EPOCH makes it repeatable."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(given) if given.isdigit() else int(time.time())


@app.command()
def wiring(
    board: _BoardArgument,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the picture there.")
    ] = None,
) -> None:
    """Print which wire goes where, from the board file; --svg draws it.

    \b
    Example:
      till board wiring rpi-zero-2w
    """
    data = board_file.read(board_file.find(board))
    typer.echo(board_wiring.markdown(data), nl=False)
    if svg is not None:
        try:
            svg.write_text(board_wiring.svg(data), encoding="utf-8")
        except OSError as error:
            raise board_file.BoardFileError(f"{svg}: {error.strerror or error}") from None
