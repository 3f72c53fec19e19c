"""Backups of the database: every row of every table, whichever database it is, in a sealed file.

Inside is a sequence of CBOR values, compressed: what it is and the version of the tables, then
for each table its columns, its rows and their number, at last the number of all rows. A restore
makes the tables of that version in an empty database, fills them, and brings them up to date.
"""

import io
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import cbor2
from sqlalchemy import Connection, MetaData, func, insert, select, text

from host_tools.errors import UserError
from host_tools.store import database, rebuild, sealed
from host_tools.store.database import Store
from host_tools.store.intake import Told
from host_tools.store.models import Terminal
from host_tools.store.sealed import Damaged, Opener, Sealer
from host_tools.texts import said

WHAT = "opentill store"
_ROWS = 500
_VERSIONS = "alembic_version"
#: The longest value, and how many times its file's size a backup may become, and some more for
#: one that is nearly empty: rows of real terminals become some 10 times smaller.
_MOST_VALUE, _MOST_RATIO, _MOST_OVER = 1 << 23, 100, 1 << 24
#: Tables that must be empty for a restore: the others hold nothing without them.
_GUARDED = ("terminal", "record", "payment")

#: Hears how much is done, and of how much.
Progress = Callable[[int, int], None]


@dataclass
class Summary:
    """What a backup holds. ``made``: Unix seconds; ``rows`` by table."""

    made: int
    revision: str
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())

    @property
    def moment(self) -> str:
        """When it was made, for people of this PC's time zone."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.made))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"made": self.made, "revision": self.revision, "rows": self.rows}


def back_up(
    store: Store,
    path: str,
    passphrase: str,
    progress: Progress | None = None,
    cost: int = sealed.COST,
    clock: Callable[[], float] = time.time,
) -> Summary:
    """Write the database as it is now to a new file, then read it back. UserError."""
    summary = Summary(int(clock()), "")

    def write(file: BinaryIO) -> None:
        sealer = Sealer(file, passphrase, summary.made, cost)
        press = zlib.compressobj(6)
        with store.read() as connection:
            for value in _dump(connection, summary, progress):
                sealer.write(press.compress(cbor2.dumps(value)))
        sealer.write(press.flush())
        sealer.seal()

    sealed.written(path, write)
    if examine(path, passphrase) != summary:
        raise UserError(said("{path} does not read back as it was written; check the disk",
                             path=path))  # fmt: skip
    return summary


def _dump(connection: Connection, summary: Summary, progress: Progress | None) -> Iterator[Any]:
    summary.revision = database.revision(connection)
    tables = [one for one in _tables(connection) if one.name != _VERSIONS]
    counts = [connection.scalar(select(func.count()).select_from(one)) or 0 for one in tables]
    yield [WHAT, 1, summary.revision, summary.made]
    done = 0
    for table in tables:
        yield ["table", table.name, [column.name for column in table.columns]]
        count = 0
        query = select(table).order_by(*table.primary_key.columns)
        streamed = connection.execution_options(yield_per=_ROWS).execute(query)
        for part in streamed.partitions():
            yield ["rows", [list(row) for row in part]]
            count += len(part)
            done += len(part)
            if progress is not None:
                progress(done, sum(counts))
        yield ["end", table.name, count]
        summary.rows[table.name] = count
    yield ["whole", summary.total]


def _tables(connection: Connection) -> list[Any]:
    """Those that are there, each after those that it refers to."""
    found = MetaData()
    found.reflect(connection)
    return found.sorted_tables


def examine(path: str, passphrase: str, progress: Progress | None = None) -> Summary:
    """Read a backup to its end: every byte is verified. Damaged, UserError."""
    summary = Summary(0, "")
    for _ in _read(path, passphrase, summary, progress):
        pass
    return summary


def restore(
    path: str, passphrase: str, url: str = "", progress: Progress | None = None
) -> tuple[Summary, list[Told]]:
    """Fill an empty database from a backup, all of it or nothing; what it holds, and what its
    chains say. The backup is verified to its end before the database is touched. Damaged,
    UserError."""
    examine(path, passphrase)
    store = database.bare(url)
    try:
        return store.change(lambda connection: _load(connection, path, passphrase, progress))
    finally:
        store.close()


def _load(
    connection: Connection, path: str, passphrase: str, progress: Progress | None
) -> tuple[Summary, list[Told]]:
    _clear(connection)
    summary = Summary(0, "")
    tables: dict[str, Any] = {}
    for name, columns, rows in _read(path, passphrase, summary, progress):
        if not tables:
            if summary.revision not in database.revisions():
                raise UserError(said("a newer till made this backup; update this one"))
            database.upgrade(connection, summary.revision)
            tables = {table.name: table for table in _tables(connection)}
            for table in tables.values():  # what a version of the tables begins with
                if table.name != _VERSIONS:
                    connection.execute(table.delete())
        if name not in tables or not set(columns) <= set(tables[name].columns.keys()):
            raise Damaged(said("the backup has a table {name} that is not known", name=name))
        if rows:
            values = [dict(zip(columns, row, strict=True)) for row in rows]
            connection.execute(insert(tables[name]), values)
    _number_on(connection, tables)
    database.upgrade(connection)
    wrong: list[Told] = []
    for number in connection.scalars(select(Terminal.id).order_by(Terminal.id)).all():
        wrong += rebuild.check(connection, number)
    return summary, wrong


def _clear(connection: Connection) -> None:
    """Take away tables without rows, so that those of the backup's version can be made."""
    database.revision(connection)  # UserError for another program's
    tables = _tables(connection)
    for table in tables:
        if table.name in _GUARDED and connection.execute(select(table).limit(1)).first():
            raise UserError(
                said("{place}: there is data in this database already; a backup is restored into "
                     "an empty one (--database)", place=database.place(connection.engine.url))
            )  # fmt: skip
    for table in reversed(tables):
        table.drop(connection)


def _number_on(connection: Connection, tables: dict[str, Any]) -> None:
    """PostgreSQL numbers new rows by counters, which rows with numbers do not move."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables.values():
        keys = list(table.primary_key.columns)
        if len(keys) != 1 or not issubclass(keys[0].type.python_type, int):
            continue
        counter = text("SELECT pg_get_serial_sequence(:table, :column)")
        found = connection.scalar(counter, {"table": table.name, "column": keys[0].name})
        if found is not None:
            last = connection.scalar(select(func.max(keys[0])))
            connection.execute(select(func.setval(found, last or 1, last is not None)))


def _read(
    path: str, passphrase: str, summary: Summary, progress: Progress | None
) -> Iterator[tuple[str, list[str], list[list[Any]]]]:
    """(table, columns, rows), and the summary as it comes. Damaged, UserError."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            heard = None if progress is None else lambda done: progress(done, size)
            opener = Opener(file, passphrase, heard)
            summary.made = opener.made
            pressed = _Pressed(opener, size * _MOST_RATIO + _MOST_OVER)
            yield from _values(pressed, summary)
            pressed.end()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (
        cbor2.CBORDecodeError, zlib.error, ArithmeticError, ValueError, TypeError, LookupError,
    ) as error:  # fmt: skip
        if isinstance(error.__cause__, Damaged):  # in the middle of a string
            raise error.__cause__ from None
        raise Damaged(
            said("the backup reads to nonsense ({cause}); report this", cause=str(error)[:80])
        ) from None


def _values(
    pressed: "_Pressed", summary: Summary
) -> Iterator[tuple[str, list[str], list[list[Any]]]]:
    decoder = cbor2.CBORDecoder(cast(BinaryIO, pressed), max_depth=8)

    def decoded() -> Any:
        pressed.left = _MOST_VALUE
        return decoder.decode()

    what, version, summary.revision, made = decoded()
    if what != WHAT or version != 1 or made != summary.made:
        raise ValueError("another kind of file")
    name, columns, count = "", [], 0
    while True:
        value = decoded()
        if value[0] == "table":
            _, name, columns = value
            count = 0
            yield name, columns, []
        elif value[0] == "rows":
            if any(len(row) != len(columns) for row in value[1]):
                raise ValueError(f"a row of table {name} is cut short")
            count += len(value[1])
            yield name, columns, value[1]
        elif value[0] == "end":
            if value != ["end", name, count]:
                raise ValueError(f"table {name} has {count} rows")
            summary.rows[name] = count
        elif value != ["whole", summary.total]:
            raise ValueError("rows are missing")
        else:
            return


def _too_long() -> Damaged:
    return Damaged(said("the backup becomes longer than a backup can be; use another copy"))


class _Pressed(io.RawIOBase):
    """What was compressed, a bounded piece at a time. ``most``: bytes of all of it; ``left``:
    bytes that may still be read."""

    def __init__(self, inner: Opener, most: int) -> None:
        self._inner = inner
        self._most = most
        self._press = zlib.decompressobj()
        self._data = bytearray()
        self.left = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.left -= size
        if self.left < 0:
            raise _too_long()
        while len(self._data) < size and not self._press.eof:
            source = self._press.unconsumed_tail or self._inner.read()
            if not source:
                break
            piece = self._press.decompress(source, 1 << 20)
            self._most -= len(piece)
            if self._most < 0:
                raise _too_long()
            self._data += piece
        given = bytes(self._data[:size])
        del self._data[:size]
        return given

    def end(self) -> None:
        """Read on to the file's last byte; ValueError when something stands there."""
        self.left = 1
        if self.read(1) or self._press.unused_data or self._inner.read():
            raise ValueError("more than the whole")
