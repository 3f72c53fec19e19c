"""The bank's books, in SQLite through SQLAlchemy.

Amounts are integers of the currency's minor unit. Times are Unix seconds.
The PAN of a test card stands in the account table only; everything else
refers to it by id or holds the masked form.
"""

import json
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, create_engine, event, func, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from host_tools.errors import UserError

#: States of a transaction.
APPROVED = "approved"
DECLINED = "declined"
REVERSED = "reversed"
#: The reversal came, its original never did (a later original is refused).
ORPHAN = "orphan"


class Base(DeclarativeBase):
    """Base of the tables."""


class Terminal(Base):
    """An enrolled terminal and its keys. Key columns are hex, "" for none."""

    __tablename__ = "terminal"

    terminal_id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str]
    serial: Mapped[str] = mapped_column(unique=True)
    merchant_name: Mapped[str]
    currency: Mapped[int]
    utc_offset: Mapped[int]
    sign_in_code: Mapped[str]
    mac_algorithm: Mapped[str]
    mac_length: Mapped[int]
    tmk: Mapped[str]
    batch: Mapped[int] = mapped_column(default=1)
    signed_in: Mapped[bool] = mapped_column(default=False)
    key_set: Mapped[int] = mapped_column(default=0)
    pin_key: Mapped[str] = mapped_column(default="")
    mac_key: Mapped[str] = mapped_column(default="")
    track_key: Mapped[str] = mapped_column(default="")


class Account(Base):
    """What the issuer knows of one application of one test card."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    card: Mapped[str]
    pan: Mapped[str] = mapped_column(unique=True)
    csn: Mapped[str]
    expiry: Mapped[str]
    status: Mapped[str]
    currency: Mapped[int]
    balance: Mapped[int]
    opening_balance: Mapped[int]
    limit: Mapped[int]
    pin_tries: Mapped[int]


class Transaction(Base):
    """One financial request, once. ``amount`` is what the terminal asked,
    ``approved_amount`` what the account was charged (0 unless approved;
    kept after a reversal)."""

    __tablename__ = "transactions"
    __table_args__ = (
        UniqueConstraint("terminal_id", "batch", "stan"),
        Index("by_cryptogram", "account_id", "atc", "arqc"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    terminal_id: Mapped[str] = mapped_column(ForeignKey("terminal.terminal_id"))
    merchant_id: Mapped[str]
    batch: Mapped[int]
    stan: Mapped[str]
    mti: Mapped[str]
    processing_code: Mapped[str]
    kind: Mapped[str]
    entry_mode: Mapped[str]
    amount: Mapped[int]
    approved_amount: Mapped[int] = mapped_column(default=0)
    currency: Mapped[int]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    masked_pan: Mapped[str]
    rrn: Mapped[str] = mapped_column(unique=True)
    auth_code: Mapped[str] = mapped_column(default="")
    response: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    time: Mapped[int]
    atc: Mapped[str] = mapped_column(default="")
    arqc: Mapped[str] = mapped_column(default="")
    pin_verified: Mapped[bool] = mapped_column(default=False)
    scripts: Mapped[str] = mapped_column(default="")
    script_results: Mapped[str] = mapped_column(default="")
    reversals: Mapped[int] = mapped_column(default=0)
    reversal_reason: Mapped[str] = mapped_column(default="")

    account: Mapped[Account | None] = relationship()

    def as_dict(self) -> dict[str, Any]:
        """Every column, for JSON."""
        return {column.name: getattr(self, column.name) for column in self.__table__.columns}


class LoggedMessage(Base):
    """A message that came or went, masked. ``direction``: "in" or "out"."""

    __tablename__ = "message"

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[int]
    terminal_id: Mapped[str]
    direction: Mapped[str]
    mti: Mapped[str]
    fields: Mapped[str]
    note: Mapped[str] = mapped_column(default="")


#: Version of the tables, in SQLite's ``user_version``.
VERSION = 1

#: The log keeps this many messages; older ones are dropped in lumps.
MESSAGES_KEPT = 10_000


def open_engine(url: str = "sqlite:///:memory:") -> Engine:
    """The books, made if new. ``sqlite:///FILE`` is durable at each commit.

    UserError when the file is damaged or of another version.
    """
    memory = url.endswith(":memory:")
    arguments: dict[str, Any] = {"connect_args": {"check_same_thread": False}}
    if memory:
        arguments["poolclass"] = StaticPool
    engine = create_engine(url, **arguments)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    try:
        with engine.begin() as connection:
            found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if found not in (0, VERSION):
                raise UserError(f"{url}: books of version {found}, this till knows {VERSION}")
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
        Base.metadata.create_all(engine)
    except DatabaseError as error:
        engine.dispose()
        raise UserError(
            f"{engine.url.database}: these books cannot be opened: {error.orig}"
        ) from error
    except UserError:
        engine.dispose()
        raise
    return engine


class Ledger:
    """Questions to the books that tests, the page and the commands ask."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def session(self) -> Session:
        """A unit of work; commit or it did not happen."""
        return Session(self.engine)

    def close(self) -> None:
        """Give the database back."""
        self.engine.dispose()

    def transactions(self, terminal_id: str | None = None) -> list[dict[str, Any]]:
        """All financial requests in the order they came."""
        query = select(Transaction).order_by(Transaction.id)
        if terminal_id is not None:
            query = query.where(Transaction.terminal_id == terminal_id)
        with self.session() as session:
            return [row.as_dict() for row in session.scalars(query)]

    def approved_total(self, terminal_id: str | None = None) -> int:
        """Minor units approved and not reversed."""
        query = select(func.coalesce(func.sum(Transaction.approved_amount), 0)).where(
            Transaction.state == APPROVED
        )
        if terminal_id is not None:
            query = query.where(Transaction.terminal_id == terminal_id)
        with self.session() as session:
            return int(session.scalar(query) or 0)

    def accounts(self) -> list[dict[str, Any]]:
        """The accounts, PAN masked."""
        with self.session() as session:
            rows = session.scalars(select(Account).order_by(Account.id))
            return [
                {
                    "card": row.card,
                    "pan": row.pan[:6] + "*" * (len(row.pan) - 10) + row.pan[-4:],
                    "expiry": row.expiry,
                    "status": row.status,
                    "currency": row.currency,
                    "balance": row.balance,
                    "opening_balance": row.opening_balance,
                    "limit": row.limit,
                    "pin_tries": row.pin_tries,
                }
                for row in rows
            ]

    def balance(self, pan: str) -> int:
        """Balance of an account, minor units. KeyError."""
        with self.session() as session:
            found = session.scalar(select(Account.balance).where(Account.pan == pan))
        if found is None:
            raise KeyError(pan[-4:])
        return found

    def terminals(self) -> list[dict[str, Any]]:
        """The enrolled terminals, without keys."""
        shown = (
            "terminal_id", "merchant_id", "serial", "batch", "signed_in", "key_set", "utc_offset",
        )  # fmt: skip
        with self.session() as session:
            rows = session.scalars(select(Terminal).order_by(Terminal.terminal_id))
            return [{name: getattr(row, name) for name in shown} for row in rows]

    def messages(self, most: int = 200) -> list[dict[str, Any]]:
        """The newest messages, oldest first, masked."""
        query = select(LoggedMessage).order_by(LoggedMessage.id.desc()).limit(most)
        with self.session() as session:
            rows = list(session.scalars(query))
        return [
            {
                "id": row.id,
                "time": row.time,
                "terminal_id": row.terminal_id,
                "direction": row.direction,
                "mti": row.mti,
                "fields": json.loads(row.fields),
                "note": row.note,
            }
            for row in reversed(rows)
        ]

    def inconsistencies(self) -> list[str]:
        """Accounts whose balance is not opening balance less approved amounts."""
        spent = (
            select(Transaction.account_id, func.sum(Transaction.approved_amount).label("sum"))
            .where(Transaction.state == APPROVED)
            .group_by(Transaction.account_id)
            .subquery()
        )
        query = select(Account, func.coalesce(spent.c.sum, 0)).outerjoin(
            spent, spent.c.account_id == Account.id
        )
        with self.session() as session:
            return [
                f"{row.card}: balance {row.balance}, expected {row.opening_balance - total}"
                for row, total in session.execute(query)
                if row.balance != row.opening_balance - total
            ]
