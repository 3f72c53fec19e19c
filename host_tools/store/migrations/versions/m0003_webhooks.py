"""Webhooks: subscriptions, and what waits to be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0002."""
    op.create_table(
        "webhook",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("url", "secret", "events")),
        sa.Column("allowed", sa.String, nullable=False),
        sa.Column("made", _BIG, nullable=False),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("webhook_id", _BIG, sa.ForeignKey("webhook.id"), nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("body", sa.String, nullable=False),
        sa.Column("made", _BIG, nullable=False),
        sa.Column("first_at", _BIG),
        sa.Column("next_at", _BIG, nullable=False),
        sa.Column("tries", _BIG, nullable=False),
        sa.Column("dead", sa.Boolean, nullable=False),
        sa.Column("said", sa.String, nullable=False),
    )
    op.create_index(
        "ix_webhook_delivery_webhook_id_dead_id", "webhook_delivery", ["webhook_id", "dead", "id"]
    )
