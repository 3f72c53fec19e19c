"""Terminals, their records, and what is folded from these."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "terminal",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("serial", sa.String, nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("board", sa.String, nullable=False),
        sa.Column("firmware", sa.String, nullable=False),
        sa.Column("key_fingerprint", sa.String, nullable=False),
        sa.Column("first_seen", _BIG, nullable=False),
        sa.Column("last_seen", _BIG, nullable=False),
        sa.Column("clock_offset_s", _BIG),
    )
    op.create_table(
        "record",
        _of_terminal(primary_key=True),
        sa.Column("epoch", _BIG, primary_key=True, autoincrement=False),
        sa.Column("sequence", _BIG, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("critical", sa.Boolean, nullable=False),
        sa.Column("frame", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("received_at", _BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cursor",
        _of_terminal(primary_key=True),
        sa.Column("sequence", _BIG, nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("acknowledged", _BIG, nullable=False),
    )
    op.create_table(
        "alarm",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        _of_terminal(),
        sa.Column("at", _BIG, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        sa.Column("sequence", _BIG),
        sa.Column("seen", sa.Boolean, nullable=False),
    )
    _payments()
    op.create_table(
        "batch",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        _of_terminal(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("opened_at", _BIG),
        sa.Column("closed_at", _BIG),
        sa.Column("settled_at", _BIG),
    )
    op.create_index("ix_batch_terminal_id_number", "batch", ["terminal_id", "number"])
    op.create_table(
        "setting",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )


def _of_terminal(primary_key: bool = False) -> "sa.Column[int]":
    return sa.Column(
        "terminal_id",
        _BIG,
        sa.ForeignKey("terminal.id"),
        primary_key=primary_key,
        autoincrement=False,
        nullable=False,
    )


def _payments() -> None:
    op.create_table(
        "payment",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        _of_terminal(),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("request_sequence", _BIG, nullable=False),
        sa.Column("commit_sequence", _BIG),
        sa.Column("stan", sa.Integer, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("tender", sa.String, nullable=False),
        sa.Column("brand", sa.String),
        sa.Column("aid", sa.String),
        sa.Column("amount", _BIG, nullable=False),
        sa.Column("currency", sa.Integer, nullable=False),
        sa.Column("exponent", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("response", sa.String),
        sa.Column("requested_at", _BIG),
        sa.Column("local_time", sa.String, nullable=False),
        sa.Column("business_date", sa.String, nullable=False),
        sa.Column("entry_mode", sa.String, nullable=False),
        sa.Column("pan_masked", sa.String),
        sa.Column("pan_token", sa.String),
        sa.Column("rrn", sa.String),
        sa.Column("auth_code", sa.String),
        sa.Column("settlement_date", sa.String),
        sa.Column("merchant_id", sa.String),
        sa.Column("terminal_no", sa.String),
        sa.Column("cashier", sa.String),
        sa.Column("register_reference", sa.String),
        sa.Column("reversed_at", _BIG),
        sa.Column("original_id", _BIG, sa.ForeignKey("payment.id")),
        sa.Column("tip", _BIG, nullable=False),
        sa.Column("cashback", _BIG, nullable=False),
        sa.Column("test", sa.Boolean, nullable=False),
        sa.UniqueConstraint("terminal_id", "epoch", "request_sequence"),
    )
    op.create_index("ix_payment_terminal_id_stan_id", "payment", ["terminal_id", "stan", "id"])
