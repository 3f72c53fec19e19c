"""Payments as an Excel workbook: typed cells, frozen heading, a sheet of totals."""

import datetime
from decimal import Decimal
from typing import Any, BinaryIO

from host_tools.exports.data import Data
from host_tools.exports.plain_text import COLUMNS, MONEY, NUMBER, values
from host_tools.reports.amounts import decimal_text, letters, printable
from host_tools.reports.chosen import SIGNS
from host_tools.texts import later, said

#: Payments on one sheet; Excel's own limit is 1,048,576 lines.
_LINES = 1_000_000
#: Digits that a spreadsheet's numbers keep; an amount with more is text.
_DIGITS = 15
_HEADINGS = {
    "terminal": later("Terminal"), "epoch": later("Epoch"), "sequence": later("Record"),
    "time_utc": later("Time (UTC)"), "local_time": later("Time"), "business_date": later("Day"),
    "type": later("Type"), "tender": later("Tender"), "brand": later("Brand"), "aid": "AID",
    "entry_mode": later("Entry"), "outcome": later("Outcome"), "response": later("Answer"),
    "currency": later("Currency"), "amount": later("Amount"), "tip": later("Tip"),
    "cashback": later("Cash out"), "fee": later("Fee charged"), "settled": later("Settled on"),
    "card": later("Card"), "rrn": later("RRN"), "auth_code": later("Authorisation"),
    "stan": later("Number"), "batch": later("Batch"), "merchant_id": later("Merchant"),
    "terminal_no": later("Terminal number"), "cashier": later("Cashier"),
    "reference": later("Reference"), "test": later("Test"),
}  # fmt: skip


class _Totals:
    """Approved money by currency and number of decimals."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int], list[int]] = {}

    def add(self, row: Any) -> None:
        sign = SIGNS.get(row.type, 0)
        if row.outcome != "approved" or not sign:
            return
        into = self.sums.setdefault((letters(row.currency), row.exponent), [0, 0, 0, 0])
        into[0] += 1
        into[1 if sign > 0 else 2] += row.amount
        into[3] += sign * row.amount


def write_workbook(data: Data, file: BinaryIO) -> None:
    """Into ``file``, its bytes the same for the same payments and language."""
    import xlsxwriter

    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
        "strings_to_numbers": False, "nan_inf_to_errors": False,
    }  # fmt: skip
    book = xlsxwriter.Workbook(file, options)
    book.set_properties({"title": "OpenTill", "created": datetime.datetime(2000, 1, 1)})
    bold = book.add_format({"bold": True, "bottom": 1})
    formats: dict[int, Any] = {}
    totals = _Totals()
    sheet, line = None, _LINES
    for row in data.payments():
        if line == _LINES:
            sheet, line = _payment_sheet(book, bold), 0
        line += 1
        _write(book, sheet, line, row, formats)
        totals.add(row)
    if sheet is None:
        _payment_sheet(book, bold)
    _write_totals(book, bold, totals, formats)
    book.close()


def _payment_sheet(book: Any, bold: Any) -> Any:
    number = len(book.worksheets())
    name = said("Payments") + (f" {number + 1}" if number else "")
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for at, (key, _) in enumerate(COLUMNS):
        heading = said(_HEADINGS[key])
        sheet.set_column(at, at, max(10, 2 * len(heading)))
        sheet.write_string(0, at, heading, bold)
    return sheet


def _write(book: Any, sheet: Any, line: int, row: Any, formats: dict[int, Any]) -> None:
    for at, ((_, kind), value) in enumerate(zip(COLUMNS, values(row), strict=True)):
        if value is None:
            continue
        if kind == MONEY:
            _money(book, sheet, line, at, value, row.exponent, formats)
        elif kind == NUMBER and len(str(value)) <= _DIGITS:
            sheet.write_number(line, at, value)
        else:
            sheet.write_string(line, at, printable(str(value)))


def _money(
    book: Any, sheet: Any, line: int, at: int, minor: int, exponent: int, formats: dict[int, Any]
) -> None:
    text = decimal_text(minor, exponent)
    if exponent not in formats:
        pattern = "#,##0" + ("." + "0" * exponent if exponent else "")
        formats[exponent] = book.add_format({"num_format": pattern})
    if len(str(abs(minor))) > _DIGITS:
        sheet.write_string(line, at, text)
    else:
        sheet.write_number(line, at, Decimal(text), formats[exponent])


def _write_totals(book: Any, bold: Any, totals: _Totals, formats: dict[int, Any]) -> None:
    sheet = book.add_worksheet(said("Totals"))
    sheet.freeze_panes(1, 0)
    headings = (
        said("Currency"),
        said("Payments"),
        said("Sales amount"),
        said("Refunded"),
        said("Net"),
    )
    sheet.set_column(0, len(headings) - 1, 18)
    for at, heading in enumerate(headings):
        sheet.write_string(0, at, heading, bold)
    for line, place in enumerate(sorted(totals.sums), 1):
        name, exponent = place
        count, *money = totals.sums[place]
        sheet.write_string(line, 0, name)
        sheet.write_number(line, 1, count)
        for at, minor in enumerate(money, 2):
            _money(book, sheet, line, at, minor, exponent, formats)
