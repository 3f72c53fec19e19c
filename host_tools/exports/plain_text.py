"""Payments as CSV and as JSON lines."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from host_tools.exports.cells import text_cell
from host_tools.exports.data import Data
from host_tools.reports.amounts import decimal_text, letters, local_text, moment_text, printable

TEXT, NUMBER, MONEY = "text", "number", "money"
#: A payment's columns: (name, kind). Every export of payments has these.
COLUMNS = (
    ("terminal", TEXT), ("epoch", NUMBER), ("sequence", NUMBER), ("time_utc", TEXT),
    ("local_time", TEXT), ("business_date", TEXT), ("type", TEXT), ("tender", TEXT),
    ("brand", TEXT), ("aid", TEXT), ("entry_mode", TEXT), ("outcome", TEXT), ("response", TEXT),
    ("currency", TEXT), ("amount", MONEY), ("tip", MONEY), ("cashback", MONEY), ("fee", MONEY),
    ("settled", TEXT), ("card", TEXT), ("rrn", TEXT), ("auth_code", TEXT), ("stan", NUMBER),
    ("batch", NUMBER), ("merchant_id", TEXT), ("terminal_no", TEXT), ("cashier", TEXT),
    ("reference", TEXT), ("test", NUMBER),
)  # fmt: skip
BOM = "\ufeff"


def values(row: Any) -> list[Any]:
    """A payment's values in the order of COLUMNS; money as minor units, absent ones None."""
    return [
        row.serial, row.epoch, row.request_sequence, moment_text(row.requested_at),
        local_text(row.local_time), row.business_date, row.type, row.tender,
        row.brand, row.aid, row.entry_mode, row.outcome, row.response,
        letters(row.currency), row.amount, row.tip, row.cashback, row.fee,
        row.settled_day, row.pan_masked, row.rrn, row.auth_code, row.stan,
        row.batch, row.merchant_id, row.terminal_no, row.cashier,
        row.register_reference, int(row.test),
    ]  # fmt: skip


def csv_bytes(data: Data, bom: bool) -> Iterator[bytes]:
    """CSV in UTF-8: decimals as text, no cell that a spreadsheet would run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if bom:
        out.write(BOM)
    writer.writerow(name for name, _ in COLUMNS)
    for row in data.payments():
        writer.writerow(
            _cell(kind, value, row.exponent)
            for (_, kind), value in zip(COLUMNS, values(row), strict=True)
        )
        yield _taken(out)
    yield _taken(out)


def _cell(kind: str, value: Any, exponent: int) -> str:
    if value is None:
        return ""
    if kind == MONEY:
        return decimal_text(value, exponent)
    return str(value) if kind == NUMBER else text_cell(value)


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8", "replace")


def json_bytes(data: Data) -> Iterator[bytes]:
    """An object a line: money as decimal text, absent values as null."""
    for row in data.payments():
        told = {
            name: decimal_text(value, row.exponent) if kind == MONEY and value is not None
            else printable(value) if isinstance(value, str) else value
            for (name, kind), value in zip(COLUMNS, values(row), strict=True)
        }  # fmt: skip
        yield json.dumps(told, separators=(",", ":")).encode() + b"\n"
