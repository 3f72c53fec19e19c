"""``till backup``: this PC's database, or a terminal's ledger, into one sealed file."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools import passphrases
from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.store import telling
from host_tools.texts import said

if TYPE_CHECKING:
    from host_tools.store.archive import Summary
    from host_tools.store.ledger import Ledger

app = command_app("Back up this PC's database, or a terminal's ledger.")


@app.command()
def backup(
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Write this file; it must be new.")
    ] = "",
    check: Annotated[
        str, typer.Option("--check", metavar="FILE", help="Read a backup to its end instead.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
    terminal: Annotated[
        str,
        typer.Option(
            "--terminal",
            metavar="TERMINAL",
            help="The ledger of this terminal instead, to restore it onto a new one; "
            "'auto': OPENTILL_LINK, or the only one.",
        ),
    ] = "",
    passphrase_file: passphrases.File = "",
    database: telling.Url = "",
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Write everything in this PC's database to one file, sealed under a passphrase.

    Without the passphrase nobody reads it, you neither. It is asked for, or the first
    line of --passphrase-file, or of standard input where that is no terminal.

    \b
    Examples:
      till backup --out shop-2026-11-22.till
      till backup --check shop-2026-11-22.till
      till backup --terminal VT000001 --out vt000001.ledger
    """
    if bool(out) == bool(check) or (check and (force or database or terminal)):
        raise Misuse(said("give --out FILE, or --check FILE alone"))
    if terminal and database:
        raise Misuse(said("give --terminal, or --database"))
    if out and os.path.exists(out) and not force:
        raise UserError(said("{path} is there already; give --force to write over it", path=out))

    from host_tools.store import ledger

    if terminal:
        _tell_ledger(_of_terminal(terminal, out, passphrase_file, as_json), as_json)
    elif check and ledger.is_one(check):
        _tell_ledger(_checked_ledger(check, passphrase_file, as_json), as_json)
    elif check:
        _tell(check, _checked(check, passphrase_file, as_json), as_json)
    else:
        _tell(out, _of_database(database, out, passphrase_file, as_json), as_json)


def _of_database(url: str, out: str, passphrase_file: str, as_json: bool) -> "Summary":
    from host_tools.store import archive
    from host_tools.store import database as databases

    store = databases.open(url, create=False)
    try:
        word = passphrases.asked(passphrase_file, new=True)
        with telling.bar(as_json) as progress:
            return archive.back_up(store, out, word, progress)
    finally:
        store.close()


def _checked(path: str, passphrase_file: str, as_json: bool) -> "Summary":
    from host_tools.store import archive

    word = passphrases.asked(passphrase_file, new=False)
    with telling.bar(as_json) as progress:
        return archive.examine(path, word, progress)


def _of_terminal(which: str, out: str, passphrase_file: str, as_json: bool) -> "Ledger":
    from host_tools.store import ledger

    word = passphrases.asked(passphrase_file, new=True)
    with telling.bar(as_json) as progress:

        async def work(there: LinkedTerminal) -> ledger.Ledger:
            return await ledger.back_up(there, there.key, out, word, progress)

        return at_command.with_terminal("" if which == "auto" else which, work)


def _checked_ledger(path: str, passphrase_file: str, as_json: bool) -> "Ledger":
    from host_tools.store import ledger

    word = passphrases.asked(passphrase_file, new=False)
    with telling.bar(as_json) as progress:
        return ledger.read(path, word, progress)


def _tell(path: str, summary: "Summary", as_json: bool) -> None:
    if as_json:
        at_command.show({"file": path, **summary.as_dict()})
        return
    typer.echo(
        said("{path}: whole; {count} rows in {tables} tables, made {moment}",
             path=path, count=summary.total, tables=len(summary.rows), moment=summary.moment)
    )  # fmt: skip


def _tell_ledger(found: "Ledger", as_json: bool) -> None:
    if as_json:
        at_command.show({"file": found.path, **found.summary._asdict()})
    else:
        telling.ledger(found)
