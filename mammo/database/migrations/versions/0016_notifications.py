"""Notifications: channels, the outbox with its log, and how far the journals were read."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.String(32)


def upgrade() -> None:
    op.create_table(
        "notification_channel",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("project", sa.BigInteger),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("topics", sa.Text, nullable=False),
        sa.Column("quiet_days", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("removed_at", MOMENT),
    )
    op.create_table(
        "notification",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("message", sa.String(64), nullable=False, unique=True),
        sa.Column("event", sa.String(120), nullable=False),
        sa.Column("channel", ROW_ID, sa.ForeignKey("notification_channel.id"), nullable=False),
        sa.Column("topic", sa.String(32), nullable=False),
        sa.Column("project", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("problem", sa.Text),
        sa.UniqueConstraint("event", "channel"),
    )
    op.create_index("ix_notification_due", "notification", ["state", "due_at"])
    op.create_index("ix_notification_channel", "notification", ["channel"])
    op.create_table(
        "notification_cursor",
        sa.Column("name", sa.String(120), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
