"""``till report``: sums and lists over what was synced."""

import datetime
import time
from typing import Annotated

import typer

from host_tools.command_line import Language, Misuse, command_app
from host_tools.texts import said

app = command_app("Sums and lists over what was synced.")

KINDS = (
    "x", "z", "hour", "day", "week", "month", "weekday", "cashier", "tender", "brand", "currency",
    "terminal", "entry", "refunds", "failed", "queue", "tips", "fees", "batches", "exceptions",
)  # fmt: skip
Begin = Annotated[str, typer.Option("--from", metavar="DAY", help="First business day.")]
End = Annotated[str, typer.Option("--to", metavar="DAY", help="Last business day.")]
Serial = Annotated[
    str, typer.Option("--terminal", metavar="SERIAL", help="One terminal; else all.")
]
Currency = Annotated[
    str, typer.Option(metavar="CODE", help="One currency, such as CNY; else each by itself.")
]
Test = Annotated[bool, typer.Option("--test", help="Payments with test keys, and no others.")]
Url = Annotated[str, typer.Option(metavar="URL", help="The database, where it is not the usual.")]


@app.command()
def report(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(KINDS) + ".")],
    begin: Begin = "",
    end: End = "",
    terminal: Serial = "",
    currency: Currency = "",
    test: Test = False,
    number: Annotated[
        int, typer.Option(metavar="N", help="z: which one; else the last.", min=0, max=10**15)
    ] = 0,
    close: Annotated[bool, typer.Option("--close", help="z: close the shift as a new Z.")] = False,
    age: Annotated[
        int, typer.Option(metavar="DAYS", help="batches: older ones are late.", min=0, max=10000)
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The rows as CSV.")] = False,
    database: Url = "",
    language: Language = "",
) -> None:
    """Sums and lists over what was synced.

    Without days: this month. A day is 2026-11-22, 2026-11 or 2026. Currencies are
    never added to each other. x is what a terminal took since its last z.

    \b
    Examples:
      till report day --from 2026-11-01 --to 2026-11-30
      till report brand --from 2026 --currency CNY --csv
      till report z --terminal OT000001 --close
    """
    if kind not in KINDS:
        raise Misuse(said("no report {kind}; there are {kinds}", kind=repr(kind)[:30],
                          kinds=", ".join(KINDS)))  # fmt: skip
    if as_json and as_csv:
        raise Misuse(said("give --json or --csv, not both"))
    shift = kind in ("x", "z")
    if (close and number) or (kind != "z" and (close or number)):
        raise Misuse(said("--close and --number are for z, one at a time"))
    if shift and not terminal:
        raise Misuse(said("give the terminal by --terminal: each has its own shifts"))
    if shift and (begin or end or currency or test):
        raise Misuse(said("x and z are of a whole shift; leave days, --currency and --test out"))

    from host_tools.reports import kinds
    from host_tools.reports.report import as_csv as csv_of
    from host_tools.reports.report import as_json as json_of
    from host_tools.reports.report import as_lines as lines_of
    from host_tools.store import database as databases

    asked = kinds.Asked(begin, end, terminal, currency, test, number, age)
    now = int(time.time())
    today = datetime.datetime.now().astimezone().date()
    store = databases.open(database, create=False)
    try:
        if close:
            made = store.change(lambda writing: kinds.close(writing, terminal, now))
        else:
            with store.read() as connection:
                made = kinds.report(connection, kind, asked, now, today)
    finally:
        store.close()
    if as_csv:
        typer.echo(csv_of(made), nl=False)
    else:
        typer.echo(json_of(made) if as_json else lines_of(made))
