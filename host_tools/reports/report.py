"""One table with its totals and notes, as text, JSON or CSV."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from host_tools.exports.cells import text_cell
from host_tools.reports.amounts import decimal_text, grouped_text, letters, printable
from host_tools.texts import later, said

Row = dict[str, Any]
#: How a column is shown. A NAME that is empty says so; a WORD is ours and has a translation,
#: for people alone.
TEXT, NAME, WORD, COUNT, MONEY = "text", "name", "word", "count", "money"
WORDS = {
    "approved": later("approved"), "declined": later("declined"), "cancelled": later("cancelled"),
    "unknown": later("unknown"), "reversed": later("reversed"), "released": later("released"),
    "sale": later("sale"), "refund": later("refund"), "void": later("void"),
    "completion": later("completion"), "card": later("card"), "qr": later("QR code"),
    "cash": later("cash"), "contact": later("chip"), "contactless": later("contactless"),
    "stripe": later("stripe"), "keyed": later("keyed"),
    "monday": later("Monday"), "tuesday": later("Tuesday"), "wednesday": later("Wednesday"),
    "thursday": later("Thursday"), "friday": later("Friday"), "saturday": later("Saturday"),
    "sunday": later("Sunday"), "open": later("open"), "closed": later("closed"),
    "late": later("LATE"),
    "matched": later("matched"), "amount": later("amount differs"), "fee": later("fee differs"),
    "date": later("date differs"), "missing_here": later("missing here"),
    "missing_there": later("missing there"), "duplicate": later("twice"),
    "pending": later("not due yet"),
    "why_unknown": later("outcome not known"),
    "why_released": later("reversal given up by a supervisor"),
    "why_type": later("kind of payment not known"),
    "why_currency": later("currency not in ISO 4217"),
    "why_proof": later("approved without RRN and authorisation code"),
    "why_date": later("no date: in no period's sums"),
    "why_twice": later("same card and amount within ten minutes"),
    "why_z": later("closed Z differs from its payments"),
    "why_settlement": later("settlement file differs"),
    "why_alarm": later("alarm of the sync"),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """``heading`` is for people, in their language; ``key`` for programs."""

    key: str
    heading: str
    kind: str = TEXT


@dataclass
class Report:
    """Rows with money carry ``currency`` (ISO number) and ``exponent``; an amount of None stands
    for "not known". ``totals``: a row for each currency; ``notes``: lines below the table;
    ``empty``: what is said where there are no rows."""

    kind: str
    title: str
    columns: list[Column]
    rows: list[Row]
    totals: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    about: Row = field(default_factory=dict)
    empty: str = ""


def total_rows(report: Report, label: str) -> list[Row]:
    """The sums of ``report.rows``, a row for each currency (and number of decimals)."""
    summed = [column for column in report.columns if column.kind in (COUNT, MONEY)]
    keys = [column.key for column in summed]
    found: dict[tuple[int, int], Row] = {}
    for row in report.rows:
        place = (row["currency"], row["exponent"])
        into = found.setdefault(
            place, {"currency": place[0], "exponent": place[1], **dict.fromkeys(keys)}
        )
        into[label] = said("Total")
        for column in summed:
            if row[column.key] is not None:
                into[column.key] = (into[column.key] or 0) + row[column.key]
    return [found[place] for place in sorted(found)]


def as_json(report: Report) -> str:
    """One object; amounts are integers of the minor unit, beside currency and exponent."""
    return json.dumps(
        {
            "report": report.kind,
            **report.about,
            "rows": [_plain(row) for row in report.rows],
            "totals": [
                _plain({k: v for k, v in row.items() if k != report.columns[0].key})
                for row in report.totals
            ],
            "notes": report.notes,
        }
    )


def _plain(row: Mapping[str, Any]) -> Row:
    return {key: _letters(value) if key == "currency" else value for key, value in row.items()}


def _letters(currency: int | str) -> str:
    return letters(currency) if isinstance(currency, int) else currency


def as_csv(report: Report) -> str:
    """The rows alone; amounts are decimal text, headings the keys."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(column.key for column in report.columns)
    for row in report.rows:
        writer.writerow(_csv_cell(row, column) for column in report.columns)
    return out.getvalue()


def _csv_cell(row: Row, column: Column) -> str:
    value = row.get(column.key)
    if value is None:
        return ""
    if column.kind == MONEY:
        return decimal_text(value, row["exponent"])
    if column.key == "currency":
        return _letters(value)
    return str(int(value)) if isinstance(value, int) else text_cell(value)


def as_lines(report: Report) -> str:
    """The table for people: never cut, whatever the screen's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(
        file=out, width=4096, highlight=False, markup=False, emoji=False, color_system=None
    )
    console.print(Text(report.title), soft_wrap=True)
    if not report.rows:
        console.print(Text(report.empty or said("Nothing in this period.")), soft_wrap=True)
    else:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in report.columns:
            side: Any = "right" if column.kind in (COUNT, MONEY) else "left"
            table.add_column(Text(column.heading), justify=side, no_wrap=True)
        for row in report.rows:
            table.add_row(*_cells(report.columns, row))
        if report.totals:
            table.add_section()
        for row in report.totals:
            table.add_row(*_cells(report.columns, row))
        console.print(table)
    for note in report.notes:
        console.print(Text(printable(note)), soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _cells(columns: Iterable[Column], row: Row) -> "list[Any]":
    from rich.text import Text

    found = []
    for column in columns:
        value = row.get(column.key)
        if value is None:
            found.append(Text("" if column.key not in row else "-"))
        elif column.kind == MONEY:
            found.append(Text(grouped_text(value, row["exponent"])))
        elif column.key == "currency":
            found.append(Text(_letters(value)))
        elif column.kind == WORD:
            found.append(Text(said(WORDS[value]) if value in WORDS else printable(str(value))))
        elif isinstance(value, bool):
            found.append(Text(said("yes") if value else ""))
        else:
            shown = printable(str(value))
            found.append(Text(shown or said("(none)") if column.kind == NAME else shown))
    return found
