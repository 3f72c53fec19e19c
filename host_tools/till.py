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
    "api": ("host_tools.commands.api", "let other programs start payments and read reports"),
    "backup": ("host_tools.commands.backup", "this PC's database into one sealed file"),
    "board": ("host_tools.commands.board", "check and build board files"),
    "catalogue": ("host_tools.commands.catalogue", "compile language catalogues and fonts"),
    "config": ("host_tools.commands.config", "read, change and take back a terminal's settings"),
    "decode": ("host_tools.commands.decode", "decode TLV, ISO 8583, tracks and EMV bit fields"),
    "demo": ("host_tools.commands.demo", "take one chip sale without a browser"),
    "devices": ("host_tools.commands.devices", "show terminals on cables and the network"),
    "doctor": ("host_tools.commands.doctor", "find what is wrong: link, terminal, board's devices"),
    "emulate": ("host_tools.commands.emulate", "start a virtual handheld, or run a command on one"),
    "emv": ("host_tools.commands.emv", "replay a card session, check offline data authentication"),
    "encode": ("host_tools.commands.encode", "encode ISO 8583"),
    "export": ("host_tools.commands.export", "payments as a file for another program"),
    "log": ("host_tools.commands.log", "show what a terminal noted"),
    "pair": ("host_tools.commands.pair", "pair this PC with a terminal, once"),
    "reconcile": ("host_tools.commands.reconcile", "compare an acquirer's files with the payments"),
    "register": ("host_tools.commands.register", "let cash registers start payments"),
    "report": ("host_tools.commands.report", "sums and lists over what was synced"),
    "restore": ("host_tools.commands.restore", "a backup into an empty database"),
    "screen": ("host_tools.commands.screen", "show what a terminal's screen shows"),
    "status": ("host_tools.commands.status", "show how a terminal is"),
    "support-bundle": ("host_tools.commands.support_bundle", "gather what a supporter needs"),
    "sync": ("host_tools.commands.sync", "take a terminal's journal into this PC's database"),
    "test-sale": ("host_tools.commands.test_sale", "try a payment's steps without money"),
    "unpair": ("host_tools.commands.unpair", "end a pairing, at both ends"),
    "watch": ("host_tools.commands.watch", "follow what a terminal does"),
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
