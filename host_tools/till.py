"""The command ``till``: one subcommand a module of ``host_tools.commands``.

A module is imported only when its subcommand runs, so that ``till decode``
does not pay for the emulator.
"""

import importlib
import sys
from typing import Any

from host_tools.errors import UserError

#: name: (module, one line of help). Each module has ``app`` (typer.Typer).
COMMANDS = {
    "acquirer": ("host_tools.commands.acquirer", "test bank: run, enrol terminals, read its books"),
    "board": ("host_tools.commands.board", "check and build board files"),
    "catalogue": ("host_tools.commands.catalogue", "compile language catalogues and fonts"),
    "decode": ("host_tools.commands.decode", "decode TLV, ISO 8583, tracks and EMV bit fields"),
    "demo": ("host_tools.commands.demo", "take one chip sale without a browser"),
    "emulate": ("host_tools.commands.emulate", "start a virtual handheld, or run a command on one"),
    "emv": ("host_tools.commands.emv", "replay a card session, check offline data authentication"),
    "encode": ("host_tools.commands.encode", "encode ISO 8583"),
}  # fmt: skip


def usage() -> str:
    """The list of subcommands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in sorted(COMMANDS.items())]
    return "usage: till COMMAND ...\n\n" + "\n".join(lines)


def main() -> None:
    """Entry point; exits 2 for a usage error, 1 for a UserError."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help", "help"):
        print(usage())
        raise SystemExit(0 if len(sys.argv) > 1 else 2)
    name = sys.argv[1]
    if name not in COMMANDS:
        print(f"till: no command {name!r}\n\n{usage()}", file=sys.stderr)
        raise SystemExit(2)
    module = importlib.import_module(COMMANDS[name][0])
    sys.argv[1:] = sys.argv[2:]
    import typer

    # ClickException, wherever this typer keeps it (BadParameter -> UsageError -> it).
    refusal: Any = typer.BadParameter.__mro__[2]
    try:
        code = module.app(prog_name=f"till {name}", standalone_mode=False)
    except UserError as error:
        print(f"till {name}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except refusal as error:
        text = " ".join(error.format_message().split())
        if text:  # without one, the help has been shown already
            print(f"till {name}: {text} (--help lists the options)", file=sys.stderr)
        raise SystemExit(2) from None
    except (typer.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    raise SystemExit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
