"""The tables of notifications; `mammo.notifications` says what they mean."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, RowId, UtcTime, metadata

notification_channel = sa.Table(
    "notification_channel",  # who is notified of what; a removed one stays, because the log names it
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger),  # NULL: every project
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("target", AnyText, nullable=False),
    sa.Column("topics", AnyText, nullable=False),
    sa.Column("quiet_days", sa.Integer, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("removed_at", UtcTime),
)

notification = sa.Table(
    "notification",  # the outbox, and afterwards the delivery log
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("message", sa.String(64), nullable=False, unique=True),  # sent; the same in every attempt
    sa.Column("event", sa.String(120), nullable=False),
    sa.Column("channel", sa.ForeignKey("notification_channel.id"), nullable=False, index=True),
    sa.Column("topic", sa.String(32), nullable=False),
    sa.Column("project", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("problem", AnyText),
    sa.UniqueConstraint("event", "channel"),
    sa.Index("ix_notification_due", "state", "due_at"),
)

notification_cursor = sa.Table(
    "notification_cursor",  # how far each journal was read, and the state of the disk of each host
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
