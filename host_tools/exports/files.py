"""An export as a file: whole and durable under its name, or not there."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from host_tools.errors import UserError
from host_tools.exports import journals, plain_text, workbook, xml_books
from host_tools.exports.data import Data
from host_tools.exports.postings import Accounts
from host_tools.reports.chosen import Chosen
from host_tools.reports.sums import left_out
from host_tools.texts import said
from host_tools.whole_file import whole

_STREAMS: dict[str, Callable[[Data], Iterator[bytes]]] = {
    "jsonl": plain_text.json_bytes,
    "ofx": xml_books.ofx_bytes,
    "gnucash": xml_books.gnucash_bytes,
    "beancount": journals.beancount_bytes,
    "hledger": journals.hledger_bytes,
    "ledger": journals.ledger_bytes,
}


@dataclass(frozen=True)
class Written:
    """What was written; ``digest``: SHA-256 in hex."""

    path: Path
    size: int
    digest: str
    which: Chosen
    notes: list[str]


def write(
    connection: Connection, which: Chosen, chart: Accounts, format: str, out: Path,
    bom: bool = False, force: bool = False,
) -> Written:  # fmt: skip
    """Write ``format`` beside ``out``, then give it that name. UserError: the file is there."""
    data = Data(connection, which, chart)
    if not force and out.exists():
        raise _is_there(out)
    with whole(out) as new:
        with new.open("wb") as file:
            if format == "xlsx":
                workbook.write_workbook(data, file)
            else:
                csv = format == "csv"
                for piece in plain_text.csv_bytes(data, bom) if csv else _STREAMS[format](data):
                    file.write(piece)
        digest, size = hashlib.sha256(), 0
        with new.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                size += len(piece)
        if not force and out.exists():
            raise _is_there(out)
    return Written(out, size, digest.hexdigest(), which, left_out(connection, which))


def _is_there(out: Path) -> UserError:
    return UserError(said("{path} is there already; --force replaces it", path=out))


def as_json(told: Written) -> str:
    """For programs."""
    return json.dumps(
        {"file": str(told.path), "bytes": told.size, "sha256": told.digest,
         "from": told.which.first, "to": told.which.last, "notes": told.notes}
    )  # fmt: skip


def as_line(told: Written) -> str:
    """For people."""
    return said("{path}: {size} bytes, {first} to {last}", path=told.path, size=told.size,
                first=told.which.first, last=told.which.last)  # fmt: skip
