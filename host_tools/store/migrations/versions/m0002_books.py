"""What reports and reconciliation add: fee rules, closed shifts, settlement files."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SUMMED = (
    "outcome", "test", "business_date", "currency", "exponent", "type", "tender", "brand",
    "terminal_id", "entry_mode", "cashier", "local_time", "amount", "tip",
)  # fmt: skip


def upgrade() -> None:
    """From 0001."""
    op.create_index("ix_payment_sums", "payment", list(_SUMMED))
    op.create_index("ix_payment_rrn", "payment", ["rrn"])
    op.create_table(
        "fee_rule",
        _key("position"),
        sa.Column("tender", sa.String),
        sa.Column("brand", sa.String),
        sa.Column("aid", sa.String),
        sa.Column("currency", sa.Integer),
        sa.Column("first_day", sa.String),
        sa.Column("last_day", sa.String),
        sa.Column("rate_ppm", _BIG, nullable=False),
        sa.Column("fixed", _BIG, nullable=False),
        sa.Column("least", _BIG),
        sa.Column("most", _BIG),
        sa.Column("rounding", sa.String, nullable=False),
        sa.Column("refunds", sa.Boolean, nullable=False),
    )
    op.create_table(
        "z_report",
        _key("terminal_id", "terminal.id"),
        _key("number"),
        sa.Column("closed_at", _BIG, nullable=False),
        sa.Column("content", sa.String, nullable=False),
    )
    op.create_table(
        "z_payment",
        _key("terminal_id", "terminal.id"),
        _key("epoch"),
        _key("request_sequence"),
        sa.Column("number", _BIG, nullable=False),
    )
    op.create_index("ix_z_payment_terminal_id_number", "z_payment", ["terminal_id", "number"])
    op.create_table(
        "settlement_file",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("map_name", sa.String, nullable=False),
        sa.Column("imported_at", _BIG, nullable=False),
        sa.Column("first_day", sa.String, nullable=False),
        sa.Column("last_day", sa.String, nullable=False),
    )
    _lines()


def _key(name: str, refers: str = "") -> "sa.Column[int]":
    foreign = [sa.ForeignKey(refers)] if refers else []
    return sa.Column(name, _BIG, *foreign, primary_key=True, autoincrement=False)


def _lines() -> None:
    words = ("rrn", "auth_code", "pan_masked", "merchant_id", "terminal_no", "state", "detail")
    op.create_table(
        "settlement_line",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("file_id", _BIG, sa.ForeignKey("settlement_file.id"), nullable=False),
        sa.Column("line", _BIG, nullable=False),
        sa.Column("day", sa.String, nullable=False),
        sa.Column("settled_day", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("amount", _BIG, nullable=False),
        sa.Column("fee", _BIG),
        sa.Column("net", _BIG),
        sa.Column("currency", sa.Integer, nullable=False),
        sa.Column("exponent", sa.Integer, nullable=False),
        *(sa.Column(word, sa.String, nullable=False) for word in words),
        sa.Column("terminal_id", _BIG, sa.ForeignKey("terminal.id")),
        sa.Column("epoch", _BIG),
        sa.Column("request_sequence", _BIG),
        sa.UniqueConstraint("terminal_id", "epoch", "request_sequence"),
    )
    op.create_index("ix_settlement_line_file_id_line", "settlement_line", ["file_id", "line"])
    op.create_index("ix_settlement_line_rrn", "settlement_line", ["rrn"])
