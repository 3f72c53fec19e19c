"""The tables of the PC's database.

Money is an integer of the currency's minor unit. Times are Unix seconds (UTC) except where a
name says local. ``record`` is the truth as the terminals sent it; ``payment`` and ``batch``
are a fold over it and may be built anew from it at any time.
"""

from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_BIG = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by INTEGER alone

Id = Annotated[int, mapped_column(_BIG, primary_key=True, autoincrement=True)]
Big = Annotated[int, mapped_column(_BIG)]
#: Minor units of the row's currency.
Money = Annotated[int, mapped_column(_BIG)]
#: Unix seconds.
Moment = Annotated[int, mapped_column(_BIG)]
Raw = Annotated[bytes, mapped_column(LargeBinary)]
OfTerminal = Annotated[int, mapped_column(_BIG, ForeignKey("terminal.id"))]
#: A terminal's id that leads the primary key.
KeyTerminal = Annotated[
    int, mapped_column(_BIG, ForeignKey("terminal.id"), primary_key=True, autoincrement=False)
]
Key = Annotated[int, mapped_column(_BIG, primary_key=True, autoincrement=False)]


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def as_dict(self) -> dict[str, Any]:
        """Every column, by name."""
        return {column.name: getattr(self, column.name) for column in self.__table__.columns}


class Terminal(Base):
    """A terminal that was synced. ``clock_offset_s``: its clock less the PC's at the last sync."""

    __tablename__ = "terminal"

    id: Mapped[Id]
    serial: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(default="")
    board: Mapped[str] = mapped_column(default="")
    firmware: Mapped[str] = mapped_column(default="")
    key_fingerprint: Mapped[str] = mapped_column(default="")
    first_seen: Mapped[Moment]
    last_seen: Mapped[Moment]
    clock_offset_s: Mapped[Big | None]


class Record(Base):
    """A record of a terminal's journal as it stands there (docs/journal.md). ``chain``: after it.

    The epoch is in the key: after damage a terminal begins a new one, and may use a sequence
    again of which it lost the first use.
    """

    __tablename__ = "record"
    __table_args__ = {"sqlite_with_rowid": False}

    terminal_id: Mapped[KeyTerminal]
    epoch: Mapped[Key]
    sequence: Mapped[Key]
    kind: Mapped[int]
    critical: Mapped[bool]
    frame: Mapped[Raw]
    chain: Mapped[Raw]
    received_at: Mapped[Moment]


class Cursor(Base):
    """The last record that is here; chain: after it. ``acknowledged``: the terminal knows."""

    __tablename__ = "cursor"

    terminal_id: Mapped[KeyTerminal]
    sequence: Mapped[Big]
    epoch: Mapped[Big]
    chain: Mapped[Raw]
    acknowledged: Mapped[Big] = mapped_column(default=0)


class Alarm(Base):
    """Something that a person must look at. ``sequence``: the record that it is about."""

    __tablename__ = "alarm"

    id: Mapped[Id]
    terminal_id: Mapped[OfTerminal]
    at: Mapped[Moment]
    code: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    sequence: Mapped[Big | None]
    seen: Mapped[bool] = mapped_column(default=False)


class Payment(Base):
    """One financial request and what became of it, folded from the records.

    ``outcome``: approved, declined, cancelled (proved unsent), unknown (an outcome that is not
    known, or a reversal that is not acknowledged yet), reversed, released (given up by a
    supervisor). ``amount``: what was approved, else what was asked for. ``business_date``:
    the day of ``local_time`` (the terminal's YYYYMMDDhhmmss) less the cut-off hour.
    ``requested_at`` is absent where the terminal's clock was dead. ``type``: sale, refund,
    void ...; ``tender``: card, qr, cash; ``entry_mode``: contact, contactless, stripe, qr,
    keyed, or field 22 as it stands.
    """

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("terminal_id", "epoch", "request_sequence"),
        Index(None, "terminal_id", "stan", "id"),
    )

    id: Mapped[Id]
    terminal_id: Mapped[OfTerminal]
    epoch: Mapped[Big]
    request_sequence: Mapped[Big]
    commit_sequence: Mapped[Big | None]
    stan: Mapped[int]
    batch: Mapped[int]
    type: Mapped[str]
    tender: Mapped[str]
    brand: Mapped[str | None]
    aid: Mapped[str | None]
    amount: Mapped[Money]
    currency: Mapped[int]
    exponent: Mapped[int]
    outcome: Mapped[str]
    response: Mapped[str | None]
    requested_at: Mapped[Moment | None]
    local_time: Mapped[str]
    business_date: Mapped[str]
    entry_mode: Mapped[str]
    pan_masked: Mapped[str | None]
    pan_token: Mapped[str | None]
    rrn: Mapped[str | None]
    auth_code: Mapped[str | None]
    settlement_date: Mapped[str | None]
    merchant_id: Mapped[str | None]
    terminal_no: Mapped[str | None]
    cashier: Mapped[str | None]
    register_reference: Mapped[str | None]
    reversed_at: Mapped[Moment | None]
    original_id: Mapped[int | None] = mapped_column(_BIG, ForeignKey("payment.id"))
    tip: Mapped[Money] = mapped_column(default=0)
    cashback: Mapped[Money] = mapped_column(default=0)
    test: Mapped[bool] = mapped_column(default=False)


class Batch(Base):
    """A batch of a terminal, folded from the records. ``settled_at``: told by the acquirer."""

    __tablename__ = "batch"
    __table_args__ = (Index(None, "terminal_id", "number"),)

    id: Mapped[Id]
    terminal_id: Mapped[OfTerminal]
    number: Mapped[int]
    opened_at: Mapped[Moment | None]
    closed_at: Mapped[Moment | None]
    settled_at: Mapped[Moment | None]


class Setting(Base):
    """How the store itself is set, e.g. ``cut_off_hour``."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
