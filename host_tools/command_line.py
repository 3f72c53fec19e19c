"""What every ``till`` command shares: how its help looks, and how it ends.

Exit codes: 0 done; 1 the input is bad or the surroundings do not allow it; 2 the
command line is wrong; 130 Ctrl-C. Each error is one line on standard error, or
under ``--json`` and ``--lines`` one object ``{"error", "offset"}`` on standard output.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from host_tools import texts
from host_tools.errors import UserError

#: What is shown by ``-h`` too, and no wider than a terminal's usual 80 columns.
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
#: typer's ClickException, wherever this typer keeps it (BadParameter -> UsageError -> it).
_Refusal: Any = typer.BadParameter.__mro__[2]
_MACHINE = ("--json", "--lines")


def _speak(language: str) -> str:
    texts.use(language)
    return language


#: The option by which a command's words for people are chosen (host_tools/texts.py).
Language = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="CODE",
        help="Language of the messages: " + ", ".join(texts.languages()) + ".",
        show_default="the system's",
        callback=_speak,
        is_eager=True,
    ),
]


class Misuse(typer.BadParameter):
    """The command line is wrong; the text says so and what to type instead."""

    def format_message(self) -> str:
        return self.message


def command_app(text: str) -> typer.Typer:
    """A command, or a group of them; ``text``: its help."""
    return typer.Typer(
        help=text,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=_CONTEXT,
    )


def run(app: typer.Typer, name: str, arguments: Sequence[str]) -> int:
    """Run a command to its end; the exit code. Every error has been told."""
    return guarded(lambda: _invoke(app, name, list(arguments)), name, arguments)


def guarded(work: Callable[[], object], name: str, arguments: Sequence[str]) -> int:
    """Do ``work`` for the command ``name``; the exit code. Every error has been told."""
    machine = any(option in arguments for option in _MACHINE)
    texts.use("")  # until an option says otherwise
    _mend_streams()
    code, error = 0, ""
    try:
        try:
            work()
            sys.stdout.flush()
        except typer.Exit as leaving:
            code = leaving.exit_code
            sys.stdout.flush()
    except UserError as refusal:
        code, error = 1, str(refusal)
    except _Refusal as refusal:
        code, error = 2, _advice(refusal, name)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        _drop_output()  # the reader went away (head, less): nothing is left to say
    except OSError as refusal:
        _drop_output()
        machine = False
        code, error = (
            1,
            ": ".join(
                str(part) for part in (refusal.filename, refusal.strerror or refusal) if part
            ),
        )
    if error:
        _tell(name, error, machine)
    return code


def _invoke(app: typer.Typer, name: str, arguments: list[str]) -> None:
    command = typer.main.get_command(app)
    if not arguments and isinstance(command, typer.core.TyperGroup):
        raise Misuse("give a command: " + ", ".join(command.commands))
    with command.make_context(name, arguments) as context:
        command.invoke(context)


def _advice(refusal: Any, name: str) -> str:
    """What is wrong with the command line, and where the right one is described."""
    text = " ".join(refusal.format_message().split()).rstrip(".")
    path = refusal.ctx.command_path if refusal.ctx is not None else name
    return f"{text} (see {path} --help)"


def _tell(name: str, error: str, machine: bool) -> None:
    with contextlib.suppress(OSError):  # where not even an error can be written
        if machine:
            print(json.dumps({"error": error, "offset": 0}), flush=True)
        else:
            print(f"{name}: {error}", file=sys.stderr, flush=True)


def _mend_streams() -> None:
    """Closed streams become empty ones; what a terminal cannot show is escaped."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Nothing more is written to standard output, not at exit either."""
    sink = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
