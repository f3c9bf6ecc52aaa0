"""ConsoleSessions: browsers in which a user has logged in. The database holds hashes of their cookies only."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.access.users import ConsoleUser
from mammo.database import console_session, console_user, reading, writing

LIFETIME = timedelta(hours=12)
"""Time after which a user must log in again."""


class ConsoleSessions:
    """Opens, finds and ends sessions. Safe to share between threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, user: str, *, now: datetime | None = None) -> str:
        """Return the cookie of a new session; sessions that have expired are removed meanwhile."""
        now = now or datetime.now(UTC)
        cookie = secrets.token_urlsafe(32)
        with writing(self._engine) as connection:
            connection.execute(sa.delete(console_session).where(console_session.c.expires_at <= now))
            row = {"digest": digest_of(cookie), "user": user, "expires_at": now + LIFETIME}
            connection.execute(sa.insert(console_session).values(row))
        return cookie

    def find(self, cookie: str, *, now: datetime | None = None) -> ConsoleUser | None:
        """Return the user of a session; None if there is none, or it has expired."""
        statement = (
            sa.select(console_user)
            .join(console_session, console_session.c.user == console_user.c.name)
            .where(
                console_session.c.digest == digest_of(cookie),
                console_session.c.expires_at > (now or datetime.now(UTC)),
            )
        )
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        return ConsoleUser(
            name=row.name, role=row.role, has_password=row.password is not None, created_at=row.created_at
        )

    def end(self, cookie: str) -> None:
        """End a session, if there is one."""
        with writing(self._engine) as connection:
            connection.execute(
                sa.delete(console_session).where(console_session.c.digest == digest_of(cookie))
            )


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a random secret, hexadecimal."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()
