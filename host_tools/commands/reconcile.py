"""``till reconcile``: an acquirer's settlement files against the payments here."""

import time
from pathlib import Path
from typing import Annotated

import typer

from host_tools.command_line import Language, Misuse, command_app
from host_tools.commands.report import Url
from host_tools.reports.report import Report, as_csv, as_json, as_lines
from host_tools.texts import said

app = command_app("Compare an acquirer's settlement files with the payments here.")

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Csv = Annotated[bool, typer.Option("--csv", help="The rows as CSV.")]


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The acquirer's file.")],
    columns: Annotated[
        Path, typer.Option("--map", metavar="FILE", help="What its columns are, as TOML.")
    ],
    everything: Annotated[bool, typer.Option("--all", help="Show what matches too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, and keep nothing.")] = False,
    to_json: Json = False,
    to_csv: Csv = False,
    database: Url = "",
    language: Language = "",
) -> None:
    """Compare a settlement file with the payments, and keep what it says.

    Exits 0 if everything matches, 1 if something differs or the file cannot be read
    (then nothing of it is kept). A file may be read again, after a sync for example.

    \b
    Example:
      till reconcile check 20261122.csv --map acquirer.toml
    """
    from host_tools.reconcile import books
    from host_tools.reconcile.column_map import read_map
    from host_tools.store import database as databases

    how = read_map(columns)
    mark, lines = books.digest(file), books.read_all(file, how)
    now = int(time.time())
    store = databases.open(database, create=False)
    try:
        if dry_run:
            with store.read() as connection:
                results = books.compared(connection, file.name, mark, lines, how, now, False)
        else:
            results = store.change(
                lambda writing: books.compared(writing, file.name, mark, lines, how, now, True)
            )
    finally:
        store.close()
    _show(books.report(file.name, results, everything), to_json, to_csv)
    if not books.well(results):
        raise typer.Exit(1)


@app.command()
def fees(
    rules: Annotated[
        Path | None, typer.Option("--set", metavar="FILE", help="Take these rules, as TOML.")
    ] = None,
    to_json: Json = False,
    to_csv: Csv = False,
    database: Url = "",
    language: Language = "",
) -> None:
    """Show the rules by which fees are expected, or take others.

    \b
    Example:
      till reconcile fees --set contract.toml
    """
    from host_tools.reports import fees as known
    from host_tools.store import database as databases

    found = known.read_rules(rules) if rules is not None else None
    store = databases.open(database, create=found is not None)
    try:
        if found is not None:
            store.change(lambda writing: known.replace_rules(writing, found))
        with store.read() as connection:
            made = known.rules_report(connection)
    finally:
        store.close()
    _show(made, to_json, to_csv)


@app.command()
def files(
    to_json: Json = False, to_csv: Csv = False, database: Url = "", language: Language = ""
) -> None:
    """List the settlement files that were read."""
    from host_tools.reconcile import books
    from host_tools.store import database as databases

    store = databases.open(database, create=False)
    try:
        with store.read() as connection:
            made = books.files(connection)
    finally:
        store.close()
    _show(made, to_json, to_csv)


def _show(made: Report, to_json: bool, to_csv: bool) -> None:
    if to_json and to_csv:
        raise Misuse(said("give --json or --csv, not both"))
    if to_csv:
        typer.echo(as_csv(made), nl=False)
    else:
        typer.echo(as_json(made) if to_json else as_lines(made))
