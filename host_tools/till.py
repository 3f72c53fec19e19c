"""The command ``till``: one subcommand a module of ``host_tools.commands``.

A module is imported only when its subcommand runs, so that ``till decode``
does not pay for the emulator.
"""

import importlib
import importlib.metadata
import sys

from host_tools.command_line import guarded, run

#: name: (module, one line of help). Each module has ``app`` (typer.Typer).
COMMANDS = {
    "acquirer": ("host_tools.commands.acquirer", "test bank: run, enrol terminals, read its books"),
    "board": ("host_tools.commands.board", "check and build board files"),
    "catalogue": ("host_tools.commands.catalogue", "compile language catalogues and fonts"),
    "decode": ("host_tools.commands.decode", "decode TLV, ISO 8583, tracks and EMV bit fields"),
    "demo": ("host_tools.commands.demo", "take one chip sale without a browser"),
    "doctor": ("host_tools.commands.doctor", "name each device of a board and its state"),
    "emulate": ("host_tools.commands.emulate", "start a virtual handheld, or run a command on one"),
    "emv": ("host_tools.commands.emv", "replay a card session, check offline data authentication"),
    "encode": ("host_tools.commands.encode", "encode ISO 8583"),
}  # fmt: skip


def usage() -> str:
    """The list of subcommands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in sorted(COMMANDS.items())]
    head = "Usage: till COMMAND ...\n\nCommands:\n"
    return head + "\n".join(lines) + "\n\ntill COMMAND --help tells more of each."


def version() -> str:
    """The project's version."""
    try:
        return importlib.metadata.version("opentill")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Entry point; exit codes are those of ``host_tools.command_line``."""
    try:
        raise SystemExit(_main(sys.argv[1:]))
    except KeyboardInterrupt:  # while a module is still being imported
        raise SystemExit(130) from None


def _main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help", "help", "--version"):
        text = f"till {version()}" if name == "--version" else usage()
        return guarded(lambda: print(text), "till", arguments)
    if name not in COMMANDS:
        said = f"till: no command {name!r}\n\n" if name else ""
        print(f"{said}{usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(COMMANDS[name][0])
    return run(module.app, f"till {name}", arguments[1:])


if __name__ == "__main__":
    main()
