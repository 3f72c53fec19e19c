"""``till export``: payments as a file for another program."""

import datetime
from pathlib import Path
from typing import Annotated

import typer

from host_tools.command_line import Language, Misuse, command_app
from host_tools.commands.report import Begin, Currency, End, Serial, Test, Url
from host_tools.texts import said

app = command_app("Payments as a file for another program.")

FORMATS = ("csv", "xlsx", "jsonl", "ofx", "gnucash", "beancount", "hledger", "ledger")


@app.command()
def export(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help=", ".join(FORMATS) + ".")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The new file.")],
    begin: Begin = "",
    end: End = "",
    terminal: Serial = "",
    currency: Currency = "",
    test: Test = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    bom: Annotated[
        bool, typer.Option("--bom", help="csv: the mark by which Excel knows UTF-8.")
    ] = False,
    accounts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names of the accounts, as TOML.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was written as JSON.")] = False,
    database: Url = "",
    language: Language = "",
) -> None:
    """Payments as a file for another program.

    Without days: this month. csv, xlsx and jsonl hold every payment, the others the
    double-entry journal of what was approved and settled. The same payments make
    the same bytes.

    \b
    Examples:
      till export csv --out november.csv --from 2026-11 --to 2026-11 --bom
      till export beancount --out 2026.beancount --from 2026 --to 2026
    """
    if format not in FORMATS:
        raise Misuse(said("no format {format}; there are {formats}", format=repr(format)[:30],
                          formats=", ".join(FORMATS)))  # fmt: skip
    if bom and format != "csv":
        raise Misuse(said("--bom is for csv"))

    from host_tools.exports import files
    from host_tools.exports.postings import read_accounts
    from host_tools.reports.chosen import chosen
    from host_tools.store import database as databases

    chart = read_accounts(accounts)
    today = datetime.datetime.now().astimezone().date()
    store = databases.open(database, create=False)
    try:
        with store.read() as connection:
            which = chosen(connection, begin, end, terminal, currency, test, today)
            told = files.write(connection, which, chart, format, out, bom=bom, force=force)
    finally:
        store.close()
    typer.echo(files.as_json(told) if as_json else files.as_line(told))
    for note in told.notes if not as_json else ():
        typer.echo(note, err=True)
