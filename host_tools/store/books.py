"""The tables that reports and reconciliation add to the store (models.py has the others).

Payments are folded anew by ``till sync --rebuild``, so that these tables name one by its place in
its terminal's journal (terminal, epoch, request sequence) and not by its row. Days are
``YYYY-MM-DD``; money is an integer of the minor unit.
"""

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from host_tools.store.models import (
    Base,
    Big,
    Id,
    Key,
    KeyTerminal,
    Moment,
    Money,
    OfTerminal,
    Payment,
)

#: What every sum over a period reads: found by the first three, and all of it in the index.
Index(
    "ix_payment_sums",
    Payment.outcome,
    Payment.test,
    Payment.business_date,
    Payment.currency,
    Payment.exponent,
    Payment.type,
    Payment.tender,
    Payment.brand,
    Payment.terminal_id,
    Payment.entry_mode,
    Payment.cashier,
    Payment.local_time,
    Payment.amount,
    Payment.tip,
)
Index("ix_payment_rrn", Payment.rrn)


class FeeRule(Base):
    """What the acquirer's contract says that a payment costs (docs/pc.md, Fees).

    An absent ``tender``, ``brand``, ``aid`` (a prefix) or ``currency`` fits every payment;
    ``rate_ppm``: millionths of the amount; ``fixed`` is added, then ``least`` and ``most`` bound
    the whole. ``rounding``: half-down, half-up, up, down. ``refunds``: whether a refund gives
    the fee back. ``position``: rules are tried in this order, the first that fits counts.
    """

    __tablename__ = "fee_rule"

    position: Mapped[Key]
    tender: Mapped[str | None]
    brand: Mapped[str | None]
    aid: Mapped[str | None]
    currency: Mapped[int | None]
    first_day: Mapped[str | None]
    last_day: Mapped[str | None]
    rate_ppm: Mapped[Big]
    fixed: Mapped[Money]
    least: Mapped[Money | None]
    most: Mapped[Money | None]
    rounding: Mapped[str]
    refunds: Mapped[bool]


class ZReport(Base):
    """A closed shift of a terminal. ``content``: its sums as canonical JSON."""

    __tablename__ = "z_report"

    terminal_id: Mapped[KeyTerminal]
    number: Mapped[Key]
    closed_at: Mapped[Moment]
    content: Mapped[str]


class ZPayment(Base):
    """Which Z a payment is in: one."""

    __tablename__ = "z_payment"
    __table_args__ = (Index(None, "terminal_id", "number"),)

    terminal_id: Mapped[KeyTerminal]
    epoch: Mapped[Key]
    request_sequence: Mapped[Key]
    number: Mapped[Big]


class SettlementFile(Base):
    """An acquirer's file that was read. ``digest``: SHA-256 of its bytes, in hex."""

    __tablename__ = "settlement_file"

    id: Mapped[Id]
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    map_name: Mapped[str]
    imported_at: Mapped[Moment]
    first_day: Mapped[str]
    last_day: Mapped[str]


class SettlementLine(Base):
    """One line of such a file and the payment that it settles.

    ``amount``, ``fee`` and ``net`` are signed as the merchant sees them: a refund's amount is
    negative, a fee that is charged is positive. ``state``: matched, amount, fee, date,
    missing_here or duplicate (docs/pc.md). ``detail``: every difference, for people.
    """

    __tablename__ = "settlement_line"
    __table_args__ = (
        UniqueConstraint("terminal_id", "epoch", "request_sequence"),
        Index(None, "file_id", "line"),
        Index(None, "rrn"),
    )

    id: Mapped[Id]
    file_id: Mapped[int] = mapped_column(ForeignKey("settlement_file.id"))
    line: Mapped[Big]
    day: Mapped[str]
    settled_day: Mapped[str]
    type: Mapped[str]
    amount: Mapped[Money]
    fee: Mapped[Money | None]
    net: Mapped[Money | None]
    currency: Mapped[int]
    exponent: Mapped[int]
    rrn: Mapped[str]
    auth_code: Mapped[str]
    pan_masked: Mapped[str]
    merchant_id: Mapped[str]
    terminal_no: Mapped[str]
    state: Mapped[str]
    detail: Mapped[str]
    terminal_id: Mapped[OfTerminal | None]
    epoch: Mapped[Big | None]
    request_sequence: Mapped[Big | None]
