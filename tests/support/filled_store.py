"""A database of the PC with payments that no terminal had to make."""

import datetime
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from host_tools.store import books, database, models

CNY, JPY, KWD, USD = (156, 2), (392, 0), (414, 3), (840, 2)
_BRANDS = (
    ("UnionPay Debit", "A000000333010101"),
    ("Visa Credit", "A0000000031010"),
    ("Mastercard", "A0000000041010"),
)
_ENTRIES = ("contact", "contactless", "stripe")


def opened(path: Path) -> database.Store:
    """An empty database in a file."""
    return database.open(f"sqlite:///{path}")


def terminal(connection: Connection, serial: str, at: int = 1) -> int:
    """A terminal's row; ``at``: its id."""
    connection.execute(
        insert(models.Terminal).values(
            id=at, serial=serial, name="", board="virtual", firmware="1", key_fingerprint="",
            first_seen=0, last_seen=1_800_000_000,
        )
    )  # fmt: skip
    return at


def payment(sequence: int, **said: Any) -> dict[str, Any]:
    """A row of ``payment``: an approved sale of 10.00 CNY, or what ``said`` makes of it."""
    row: dict[str, Any] = {
        "terminal_id": 1, "epoch": 1, "request_sequence": sequence,
        "commit_sequence": sequence + 2, "stan": sequence % 999_999 + 1, "batch": 1,
        "type": "sale", "tender": "card", "brand": "UnionPay Debit", "aid": "A000000333010101",
        "amount": 1000, "currency": 156, "exponent": 2, "outcome": "approved", "response": "00",
        "requested_at": 1_793_000_000 + sequence, "local_time": "20261101120000",
        "business_date": "2026-11-01", "entry_mode": "contact", "pan_masked": "622200******1234",
        "pan_token": None, "rrn": f"{sequence:012d}", "auth_code": "123456",
        "settlement_date": None, "merchant_id": "TESTMERCHANT001", "terminal_no": "TERM0001",
        "cashier": "1", "register_reference": None, "reversed_at": None, "original_id": None,
        "tip": 0, "cashback": 0, "test": False,
    }  # fmt: skip
    return row | said


def add(connection: Connection, *rows: dict[str, Any]) -> None:
    """Put rows made by ``payment`` in."""
    if rows:
        connection.execute(insert(models.Payment), list(rows))


def many(count: int, seed: int = 1, days: int = 365) -> Iterator[dict[str, Any]]:
    """``count`` payments of two terminals (ids 1 and 2) from 2026-01-01 on, in order of time."""
    draw = random.Random(seed)
    begin = datetime.datetime(2026, 1, 1)
    for sequence in range(1, count + 1):
        moment = begin + datetime.timedelta(seconds=sequence * days * 86_400 // (count + 1))
        brand, aid = _BRANDS[draw.randrange(3)]
        currency, exponent = (CNY, CNY, CNY, USD, JPY, KWD)[draw.randrange(6)]
        outcome = ("approved",) * 8 + ("declined", "reversed")
        yield payment(
            sequence, terminal_id=1 + draw.randrange(2), brand=brand, aid=aid,
            amount=draw.randrange(1, 100_000), currency=currency, exponent=exponent,
            type="refund" if draw.randrange(30) == 0 else "sale",
            outcome=outcome[draw.randrange(10)], batch=sequence // 400 % 999_999 + 1,
            requested_at=int(moment.replace(tzinfo=datetime.UTC).timestamp()),
            local_time=moment.strftime("%Y%m%d%H%M%S"), business_date=moment.date().isoformat(),
            entry_mode=_ENTRIES[draw.randrange(3)], cashier=str(draw.randrange(5)),
            tip=0, pan_masked=f"622200******{draw.randrange(10_000):04d}",
        )  # fmt: skip


def settled(connection: Connection, *sequences: int, fee: int = 4, **said: Any) -> None:
    """Settle payments of terminal 1 (epoch 1) by one file, each at 10.00 unless ``said``."""
    connection.execute(
        insert(books.SettlementFile).values(
            id=1, digest="ab" * 32, name="acquirer.csv", map_name="map.toml", imported_at=0,
            first_day="2026-11-01", last_day="2026-11-01",
        )
    )  # fmt: skip
    for line, sequence in enumerate(sequences, 2):
        row = {
            "file_id": 1, "line": line, "day": "2026-11-01", "settled_day": "2026-11-02",
            "type": "sale", "amount": 1000, "fee": fee, "net": 1000 - fee, "currency": 156,
            "exponent": 2, "rrn": f"{sequence:012d}", "auth_code": "123456",
            "pan_masked": "622200******1234", "merchant_id": "", "terminal_no": "",
            "state": "matched", "detail": "", "terminal_id": 1, "epoch": 1,
            "request_sequence": sequence,
        }  # fmt: skip
        connection.execute(insert(books.SettlementLine).values(row | said))
