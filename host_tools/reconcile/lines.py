"""Reads a settlement file line by line. A line that cannot be read is refused with its number
and column, and with it the file; no full card number is kept or shown."""

import csv
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.reconcile.column_map import IGNORE, ColumnMap, Slice
from host_tools.reports.amounts import (
    currency_number,
    minor_units,
    printable,
    standard_exponent,
)
from host_tools.reports.chosen import SIGNS
from host_tools.texts import said

#: The longest line, bytes, and the largest file.
LONGEST = 65_536
LARGEST = 1 << 27
_LARGEST_AMOUNT = 999_999_999_999
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A payment as the acquirer tells it. ``amount``, ``fee`` and ``net`` are signed as the
    merchant sees them, minor units; days are dates; absent texts are ""."""

    number: int
    day: datetime.date
    settled: datetime.date | None
    type: str
    amount: int
    fee: int | None
    net: int | None
    currency: int
    exponent: int
    rrn: str
    auth_code: str
    card: str
    merchant: str
    terminal: str


class _Bad(Exception):
    """``field`` of the line at work is not what it must be."""

    def __init__(self, field: str, value: str, wanted: str) -> None:
        super().__init__(field)
        self.field, self.value, self.wanted = field, value, wanted


def read_lines(path: Path, how: ColumnMap) -> Iterator[Line]:
    """The payments of the file. UserError names file, line and column."""
    if path.stat().st_size > LARGEST:
        raise UserError(said("{path}: larger than 128 MiB; ask for a file a day", path=path))
    places: dict[str, int | Slice] | None = None
    width = 0
    for number, raw in _raw_lines(path):
        if number <= how.skip:
            continue
        text = _decoded(path, number, raw, how)
        if not text.strip() or text.startswith(how.ignore):
            continue
        cells = _cells(path, number, text, how)
        if places is None:
            places = _places(path, number, cells, how)
            width = len(cells) if how.heading else 0
            if how.heading:
                continue
        if how.delimiter and width and (len(cells) < width or any(cells[width:])):
            raise UserError(
                said("{path}: line {number}: {count} columns, but the heading has {width}",
                     path=path, number=number, count=len(cells), width=width)
            )  # fmt: skip
        try:
            line = _line(number, _Values(raw, cells, places, how), how)
        except _Bad as bad:
            raise UserError(
                said("{path}: line {number}, column {column}: {value} must be {wanted}",
                     path=path, number=number, column=_told(bad.field, how),
                     value=_shown(bad.value), wanted=bad.wanted)
            ) from None  # fmt: skip
        if line is not None:
            yield line


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, bytes without the line end); ends may be of any kind, mixed."""
    number, rest, fell = 0, b"", False
    with path.open("rb") as file:
        while piece := file.read(LONGEST):
            if not number and not rest and not fell:
                if piece.startswith(_UTF16):
                    raise UserError(said("{path}: UTF-16; save it as UTF-8", path=path))
                piece = piece.removeprefix(_BOM)
            if fell and piece.startswith(b"\n"):
                piece = piece[1:]  # the second half of a line end that was cut between pieces
            fell = piece.endswith(b"\r")
            *whole, rest = re.split(rb"\r\n|\n|\r", rest + piece)
            for line in whole:
                number += 1
                yield number, _bounded(path, number, line)
            _bounded(path, number + 1, rest)
    if rest:
        yield number + 1, rest


def _bounded(path: Path, number: int, line: bytes) -> bytes:
    if len(line) > LONGEST:
        raise UserError(
            said("{path}: line {number} is longer than {most} bytes; is this the right file?",
                 path=path, number=number, most=LONGEST)
        )  # fmt: skip
    return line


def _decoded(path: Path, number: int, raw: bytes, how: ColumnMap) -> str:
    try:
        return raw.decode(how.encoding)
    except UnicodeDecodeError as refusal:
        raise UserError(
            said("{path}: line {number}, byte {at}: not {encoding}; what does the map say?",
                 path=path, number=number, at=refusal.start + 1, encoding=how.encoding)
        ) from None  # fmt: skip


def _cells(path: Path, number: int, text: str, how: ColumnMap) -> list[str]:
    if not how.delimiter:
        return []
    try:
        if how.quote:
            rows = csv.reader([text], delimiter=how.delimiter, quotechar=how.quote, strict=True)
        else:
            rows = csv.reader([text], delimiter=how.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        cells = next(rows, [])
    except csv.Error:
        raise UserError(
            said("{path}: line {number}: a quotation mark is not closed", path=path, number=number)
        ) from None
    return [cell.strip() for cell in cells]


def _places(
    path: Path, number: int, cells: list[str], how: ColumnMap
) -> dict[str, int | Slice]:  # fmt: skip
    """Where each field of the map is: an index of ``cells``, or a slice."""
    found: dict[str, int | Slice] = {}
    for field, column in how.columns.items():
        if isinstance(column, str):
            if cells.count(column) != 1:
                raise UserError(
                    said("{path}: line {number}: the heading has not one column {column}; it has "
                         "{cells}", path=path, number=number, column=repr(column),
                         cells=_shown(", ".join(cells)))
                )  # fmt: skip
            found[field] = cells.index(column)
        else:
            found[field] = column - 1 if isinstance(column, int) else column
    return found


class _Values:
    """The fields of one line."""

    def __init__(
        self, raw: bytes, cells: list[str], places: dict[str, int | Slice], how: ColumnMap
    ) -> None:
        self.raw, self.cells, self.places, self.how = raw, cells, places, how

    def get(self, field: str) -> str:
        """The text of a field; "" where the map has none."""
        place = self.places.get(field)
        if place is None:
            return ""
        if isinstance(place, Slice):
            piece = self.raw[place.at : place.at + place.size]
            if len(piece) < place.size and field in ("date", "amount"):
                raise _Bad(field, "", said("there; the line ends before it"))
            try:
                return piece.decode(self.how.encoding).strip()
            except UnicodeDecodeError:
                raise _Bad(field, "", said("whole characters; is its place right?")) from None
        if place >= len(self.cells):
            raise _Bad(field, "", said("there; the line ends before it"))
        return self.cells[place]


def _line(number: int, values: _Values, how: ColumnMap) -> Line | None:
    word = values.get("type")
    kind = how.types.get(word, "") if "type" in how.columns else ""
    if "type" in how.columns and not kind:
        raise _Bad("type", word, said("in the map's [types]"))
    if kind == IGNORE:
        return None
    currency = _currency(values, how)
    exponent = standard_exponent(currency)
    amount = _amount(values, "amount", how, exponent)
    if amount is None:
        raise _Bad("amount", "", _wanted(how))
    if not kind:
        kind = "refund" if amount < 0 else "sale"
    day = _day(values, "date", how.date_format)
    if day is None:
        raise _Bad("date", "", said("a day as {format}", format=how.date_format))
    fee = _amount(values, "fee", how, exponent)
    return Line(
        number, day, _day(values, "settled", how.settled_format), kind, SIGNS[kind] * abs(amount),
        how.fee_sign * fee if fee is not None else None, _amount(values, "net", how, exponent),
        currency, exponent, _digits(values, "rrn", 12), _digits(values, "auth", 6),
        _card(values), _word(values, "merchant", 15), _word(values, "terminal", 8),
    )  # fmt: skip


def _currency(values: _Values, how: ColumnMap) -> int:
    word = values.get("currency")
    if not word:
        if how.currency is None:
            raise _Bad("currency", "", said("given"))
        return how.currency
    try:
        return currency_number(word)
    except UserError:
        raise _Bad("currency", word, said("three letters such as CNY")) from None


def _wanted(how: ColumnMap) -> str:
    sample = "1234" if how.minor else f"12{how.decimal}34"
    return said("an amount such as {sample}", sample=sample)


def _amount(values: _Values, field: str, how: ColumnMap, exponent: int) -> int | None:
    text = values.get(field)
    if not text:
        return None
    plain = text.replace(how.thousands, "") if how.thousands else text
    if plain.endswith("-"):  # a sign behind the number, as some hosts write it
        plain = "-" + plain[:-1]
    if how.decimal != ".":
        plain = "?" if "." in plain else plain.replace(how.decimal, ".")
    minor = minor_units(plain, 0 if how.minor else exponent)
    if minor is None or (how.minor and "." in plain) or abs(minor) > _LARGEST_AMOUNT:
        raise _Bad(field, text, _wanted(how))
    return minor


def _day(values: _Values, field: str, pattern: str) -> datetime.date | None:
    text = values.get(field)
    if not text:
        return None
    try:
        day = datetime.datetime.strptime(text, pattern).date()
    except ValueError:
        day = None
    if day is None or not text.isascii() or not 1990 <= day.year <= 2200:
        raise _Bad(field, text, said("a day as {format}", format=pattern))
    return day


def _digits(values: _Values, field: str, size: int) -> str:
    """A reference with the zeros that a spreadsheet took from its front."""
    text = _word(values, field, size)
    return text.zfill(size) if text.isdigit() else text


def _word(values: _Values, field: str, most: int) -> str:
    text = values.get(field)
    if len(text) > most or not text.isascii() or not text.isprintable():
        raise _Bad(field, text, said("at most {most} letters and digits", most=most))
    return text


def _card(values: _Values) -> str:
    """The card's number, at most its first 6 and last 4 digits."""
    text = values.get("card").replace(" ", "")
    if not re.fullmatch(r"[0-9*xX.·-]{0,24}", text):
        raise _Bad("card", text, said("a card number with its middle hidden"))
    if len(text) <= 4:
        return text
    middle = text[6:-4] if len(text) > 10 else ""
    return text[:6] + "*" * len(middle) + text[-4:] if middle else "*" * (len(text) - 4) + text[-4:]


def _told(field: str, how: ColumnMap) -> str:
    column = how.columns.get(field)
    if isinstance(column, Slice):
        return f"{field} ({column.at + 1}+{column.size})"
    return f"{field} ({column})" if column is not None else field


def _shown(text: str) -> str:
    """A value of the file for an error: short, and no card's number."""
    hidden = re.sub(r"[0-9]{11,}", lambda found: found[0][:6] + "*" * (len(found[0]) - 6), text)
    return repr(printable(hidden)[:60])
