"""How an acquirer writes its settlement file: a TOML file with one entry for each column."""

import codecs
import datetime
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.reports.amounts import currency_number
from host_tools.reports.chosen import SIGNS
from host_tools.texts import said

#: What a file may say of a payment.
FIELDS = ("date", "amount", "rrn", "auth", "card", "fee", "net", "type", "settled", "terminal",
          "merchant", "currency")  # fmt: skip
#: Encodings whose line ends are single bytes that stand for nothing else.
_ENCODINGS = ("utf-8", "gbk", "gb18030", "big5", "ascii", "iso8859-1", "iso8859-15", "cp1252",
              "shift_jis", "euc_kr")  # fmt: skip
_SECTIONS = {
    "": {"name", "encoding", "delimiter", "quote", "heading", "skip", "ignore", "currency",
         "columns", "amount", "fee", "date", "types", "settlement"},
    "amount": {"unit", "decimal", "thousands"},
    "fee": {"charged"},
    "date": {"format", "settled"},
    "settlement": {"days", "weekend", "holidays", "workdays"},
}  # fmt: skip
#: A type that says: this line is no payment.
IGNORE = "ignore"
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Slice:
    """A column of a file of fixed widths: ``at`` counts from 0, in bytes."""

    at: int
    size: int


@dataclass(frozen=True)
class Calendar:
    """When money of a day is paid: after ``days`` working days."""

    days: int = 1
    weekend: frozenset[int] = frozenset({5, 6})
    holidays: frozenset[datetime.date] = frozenset()
    workdays: frozenset[datetime.date] = frozenset()

    def works(self, day: datetime.date) -> bool:
        """Whether banks pay on ``day``."""
        if day in self.workdays:
            return True
        return day.weekday() not in self.weekend and day not in self.holidays

    def due(self, day: datetime.date) -> datetime.date:
        """The day on which what was paid on ``day`` is settled."""
        left = self.days
        for _ in range(400):
            if left <= 0 and self.works(day):
                break
            day += datetime.timedelta(days=1)
            left -= self.works(day)
        return day


@dataclass(frozen=True)
class ColumnMap:
    """A map as it was read; ``delimiter`` "" for fixed widths."""

    name: str
    columns: dict[str, str | int | Slice]
    date_format: str
    settled_format: str
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    heading: bool = True
    skip: int = 0
    ignore: tuple[str, ...] = ()
    currency: int | None = None
    minor: bool = False
    decimal: str = "."
    thousands: str = ""
    fee_sign: int = 1
    types: dict[str, str] = field(default_factory=dict)
    calendar: Calendar = field(default_factory=Calendar)


class _Reader:
    """Takes values out of the TOML's tables; each refusal names file and key."""

    def __init__(self, path: Path, table: dict[str, Any]) -> None:
        self.path = path
        self.table = table
        self._known("", table)
        for section in ("columns", "amount", "fee", "date", "types", "settlement"):
            if not isinstance(table.get(section, {}), dict):
                raise self.refuse(section, said("a section such as [{name}]", name=section))
            if section in _SECTIONS:
                self._known(section, table.get(section, {}))

    def _known(self, section: str, table: dict[str, Any]) -> None:
        for key in table:
            if key not in _SECTIONS[section]:
                raise self.refuse(
                    f"{section} {key!r:.40}".strip(),
                    said("one of {keys}", keys=", ".join(sorted(_SECTIONS[section]))),
                )

    def refuse(self, key: str, wanted: str) -> UserError:
        return UserError(
            said("{path}: {key} must be {wanted}", path=self.path, key=key, wanted=wanted)
        )

    def text(self, section: str, key: str, default: str, most: int, least: int = 0) -> str:
        table = self.table.get(section, {}) if section else self.table
        value = table.get(key, default)
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise self.refuse(
                f"{section} {key}".strip(),
                said("a text of {least} to {most} characters", least=least, most=most),
            )
        return value

    def one_of(self, section: str, key: str, default: str, words: tuple[str, ...]) -> str:
        value = self.text(section, key, default, 40)
        if value not in words:
            raise self.refuse(
                f"{section} {key}".strip(), said("one of {keys}", keys=", ".join(words))
            )
        return value

    def number(self, section: str, key: str, default: int, most: int) -> int:
        table = self.table.get(section, {}) if section else self.table
        value = table.get(key, default)
        if type(value) is not int or not 0 <= value <= most:
            raise self.refuse(
                f"{section} {key}".strip(), said("a number of 0 to {most}", most=most)
            )
        return value

    def days(self, key: str) -> frozenset[datetime.date]:
        value = self.table.get("settlement", {}).get(key, [])
        if not isinstance(value, list) or any(type(day) is not datetime.date for day in value):
            raise self.refuse(key, said("a list of days such as [2026-10-01, 2026-10-02]"))
        return frozenset(value)


def read_map(path: Path) -> ColumnMap:
    """The map of a TOML file (docs/pc.md). UserError names what is wrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as refusal:
        raise UserError(f"{path}: {refusal}") from None
    reader = _Reader(path, table)
    columns = _columns(reader)
    fixed = any(isinstance(column, Slice) for column in columns.values())
    heading = table.get("heading", not fixed)
    if not isinstance(heading, bool):
        raise reader.refuse("heading", "true, false")
    named = [name for name, column in columns.items() if isinstance(column, str)]
    if named and (fixed or not heading):
        raise reader.refuse(f"columns {named[0]}", said("a number, for there is no heading"))
    types = table.get("types", {})
    known = (*SIGNS, IGNORE)
    for word, meaning in types.items():
        if meaning not in known:
            raise reader.refuse(f"types {word!r:.40}", said("one of {keys}", keys=", ".join(known)))
    ignore = table.get("ignore", [])
    if not isinstance(ignore, list) or any(not isinstance(one, str) or not one for one in ignore):
        raise reader.refuse("ignore", said("a list of texts"))
    currency = reader.text("", "currency", "", 3)
    if not currency and "currency" not in columns:
        raise reader.refuse("currency", said("given, or be one of the columns"))
    date_format = _date_format(reader, "format", "%Y-%m-%d")
    return ColumnMap(
        name=reader.text("", "name", path.stem[:40], 40),
        columns=columns,
        date_format=date_format,
        settled_format=_date_format(reader, "settled", date_format),
        encoding=_encoding(reader),
        delimiter="" if fixed else reader.text("", "delimiter", ",", 1, 1),
        quote=reader.text("", "quote", '"', 1),
        heading=heading,
        skip=reader.number("", "skip", 0, 1000),
        ignore=tuple(ignore),
        currency=currency_number(currency) if currency else None,
        minor=reader.one_of("amount", "unit", "major", ("major", "minor")) == "minor",
        decimal=reader.text("amount", "decimal", ".", 1, 1),
        thousands=reader.text("amount", "thousands", "", 1),
        fee_sign=-1
        if reader.one_of("fee", "charged", "positive", ("positive", "negative")) == "negative"
        else 1,
        types=types,
        calendar=_calendar(reader),
    )


def _columns(reader: _Reader) -> dict[str, str | int | Slice]:
    table = reader.table.get("columns", {})
    found: dict[str, str | int | Slice] = {}
    for name, value in table.items():
        if name not in FIELDS:
            raise reader.refuse(
                f"columns {name!r:.40}", said("one of {keys}", keys=", ".join(FIELDS))
            )
        found[name] = _column(reader, name, value)
    for name in ("date", "amount"):
        if name not in found:
            raise reader.refuse(f"columns {name}", said("given"))
    if not any(name in found for name in ("rrn", "auth", "card")):
        raise reader.refuse(
            "columns rrn", said("given, or auth, or card: by what are they matched?")
        )
    kinds = {isinstance(column, Slice) for column in found.values()}
    if len(kinds) > 1:
        raise reader.refuse("columns", said("all of fixed widths, or none"))
    return found


def _column(reader: _Reader, name: str, value: Any) -> str | int | Slice:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if type(value) is int and 1 <= value <= 1000:
        return value
    if isinstance(value, dict) and set(value) == {"at", "size"}:
        at, size = value["at"], value["size"]
        if type(at) is int and type(size) is int and 1 <= at <= 10_000 and 1 <= size <= 1000:
            return Slice(at - 1, size)
    raise reader.refuse(
        f"columns {name}", said("a heading, a number from 1, or {{ at = 1, size = 12 }}")
    )


def _encoding(reader: _Reader) -> str:
    word = reader.text("", "encoding", "utf-8", 20, 1)
    try:
        name = codecs.lookup(word).name
    except (LookupError, UnicodeError):
        name = ""
    if name not in _ENCODINGS:
        raise reader.refuse("encoding", said("one of {keys}", keys=", ".join(_ENCODINGS)))
    return name


def _date_format(reader: _Reader, key: str, default: str) -> str:
    pattern = reader.text("date", key, default, 40, 1)
    directives = re.findall(r"%(.)", pattern)
    whole = {"d", "m"} <= set(directives) and ("Y" in directives or "y" in directives)
    if not whole or len(set(directives)) != len(directives) or set(directives) - set("YymdHMS"):
        raise reader.refuse(f"date {key}", said("made of %Y (or %y), %m and %d, and %H %M %S"))
    return pattern


def _calendar(reader: _Reader) -> Calendar:
    table = reader.table.get("settlement", {})
    weekend = table.get("weekend", ["saturday", "sunday"])
    if not isinstance(weekend, list) or any(day not in _WEEKDAYS for day in weekend):
        raise reader.refuse("weekend", said("a list of {keys}", keys=", ".join(_WEEKDAYS)))
    if len(set(weekend)) == 7:
        raise reader.refuse("weekend", said("a list that leaves a working day"))
    return Calendar(
        reader.number("settlement", "days", 1, 60),
        frozenset(_WEEKDAYS.index(day) for day in weekend),
        reader.days("holidays"),
        reader.days("workdays"),
    )
