"""The tables of who may do what, and of who did what. Each is written by one module, which `tables` names."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, UtcTime, metadata

console_user = sa.Table(
    "console_user",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password", sa.String(200)),  # Argon2id in PHC format; NULL: only behind a proxy that logs in
    sa.Column("created_at", UtcTime, nullable=False),
)

console_session = sa.Table(
    "console_session",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256 of the cookie
    sa.Column("user", sa.ForeignKey("console_user.name"), nullable=False, index=True),
    sa.Column("expires_at", UtcTime, nullable=False),
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),  # SHA-256 of the key
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("used_at", UtcTime),  # to the hour
)

audit_entry = sa.Table(
    "audit_entry",  # a chain of hashes, oldest first; append-only
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("subject", AnyText, nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False),
)
