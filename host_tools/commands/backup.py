"""``till backup``: this PC's database into one sealed file."""

import os
from typing import Annotated

import typer

from host_tools import passphrases
from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command
from host_tools.store import telling
from host_tools.texts import said

app = command_app("Back up this PC's database.")


@app.command()
def backup(
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Write this file; it must be new.")
    ] = "",
    check: Annotated[
        str, typer.Option("--check", metavar="FILE", help="Read a backup to its end instead.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
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
    """
    if bool(out) == bool(check) or (check and (force or database)):
        raise Misuse(said("give --out FILE, or --check FILE alone"))

    from host_tools.store import archive
    from host_tools.store import database as databases

    if check:
        word = passphrases.asked(passphrase_file, new=False)
        with telling.bar(as_json) as progress:
            summary = archive.examine(check, word, progress)
    else:
        if os.path.exists(out) and not force:
            raise UserError(said("{path} is there already; give --force to write over it",
                                 path=out))  # fmt: skip
        store = databases.open(database, create=False)
        try:
            word = passphrases.asked(passphrase_file, new=True)
            with telling.bar(as_json) as progress:
                summary = archive.back_up(store, out, word, progress)
        finally:
            store.close()
    path = out or check
    if as_json:
        at_command.show({"file": path, **summary.as_dict()})
    else:
        typer.echo(
            said("{path}: whole; {count} rows in {tables} tables, made {moment}",
                 path=path, count=summary.total, tables=len(summary.rows), moment=summary.moment)
        )  # fmt: skip
