"""Reports over 1,000,000 payments of a year in SQLite: of a day, and of the whole year by its
slowest dimensions. The peer reads the same payments row by row with ``sqlite3`` and adds them in
Python. The command's start and the drawing of the table are not counted; the file's pages are in
the system's cache, as after the sync that wrote them.
"""

import datetime
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from host_tools.reports import kinds
from host_tools.store import database
from tests.support import filled_store

Row = tuple[str, float, float, str, float, str]
PAYMENTS = 1_000_000
_TODAY = datetime.date(2026, 12, 31)
_DAY = kinds.Asked("2026-06-15", "2026-06-15")
_YEAR = kinds.Asked("2026", "2026")


def _fill(path: Path, count: int) -> None:
    store = filled_store.opened(path)
    store.change(lambda writing: filled_store.terminal(writing, "OT000001", 1))
    store.change(lambda writing: filled_store.terminal(writing, "OT000002", 2))
    store.close()
    connection = sqlite3.connect(path)
    names = list(filled_store.payment(1))
    marks = ", ".join("?" * len(names))
    connection.executemany(
        f"INSERT INTO payment ({', '.join(names)}) VALUES ({marks})",
        ([row[name] for name in names] for row in filled_store.many(count)),
    )
    connection.commit()
    connection.close()


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _ours(store: database.Store, kind: str, asked: kinds.Asked) -> None:
    with store.read() as connection:
        kinds.report(connection, kind, asked, 0, _TODAY)


def _theirs(path: Path, column: str, first: str, last: str) -> None:
    connection = sqlite3.connect(path)
    sums: dict[tuple[object, ...], list[int]] = {}
    for key, currency, exponent, kind, amount, tip in connection.execute(
        f"SELECT {column}, currency, exponent, type, amount, tip FROM payment WHERE outcome = "
        "'approved' AND business_date BETWEEN ? AND ?", (first, last),
    ):  # fmt: skip
        into = sums.setdefault((key, currency, exponent, kind), [0, 0, 0])
        into[0] += 1
        into[1] += amount
        into[2] += tip
    connection.close()


def measured(count: int) -> list[Row]:
    """The rows for ``count`` payments."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="opentill-bench-") as folder:
        path = Path(folder) / "store.sqlite"
        _fill(path, count)
        store = database.open(f"sqlite:///{path}")
        for kind, column, asked, first, last, name, aim in (
            ("hour", "substr(local_time, 9, 2)", _DAY, "2026-06-15", "2026-06-15", "a day by hour",
             "under 1 s"),
            ("brand", "brand", _DAY, "2026-06-15", "2026-06-15", "a day by brand", "under 1 s"),
            ("day", "business_date", _YEAR, "2026-01-01", "2026-12-31", "a year by day",
             "under 3 s"),
            ("brand", "brand", _YEAR, "2026-01-01", "2026-12-31", "a year by brand", "under 3 s"),
            ("cashier", "cashier", _YEAR, "2026-01-01", "2026-12-31", "a year by cashier",
             "under 3 s"),
        ):  # fmt: skip
            ours = min(_seconds(lambda k=kind, a=asked: _ours(store, k, a)) for _ in range(2))  # type: ignore[misc]
            theirs = _seconds(lambda c=column, f=first, e=last: _theirs(path, c, f, e))  # type: ignore[misc]
            title = f"report of {name}, {count:,} payments"
            found.append((title, ours, theirs, "s", ours / theirs, aim))
        store.close()
    return found


def rows() -> list[Row]:
    """(name, ours, peer, unit, ratio, aim)."""
    return measured(PAYMENTS)


if __name__ == "__main__":
    for row in measured(int(sys.argv[1]) if len(sys.argv) > 1 else PAYMENTS):
        print(row)
