"""ConsoleUsers: the console's own users. Every change is an entry of the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.access.passwords import hashed, is_right
from mammo.access.roles import Role, require_name
from mammo.audit import append
from mammo.database import console_session, console_user, insert, reading, writing
from mammo.errors import InvalidAccess


@dataclass(frozen=True, kw_only=True)
class ConsoleUser:
    """A user of the console."""

    name: str
    role: Role
    has_password: bool
    """False: this user logs in at a proxy only."""

    created_at: datetime


class ConsoleUsers:
    """Adds, changes, removes and recognises users. Safe to share between threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, role: Role, *, password: str | None, actor: str) -> None:
        """Add a user.

        Args:
            password: None for a user that logs in at a proxy only.

        Raises:
            InvalidAccess: the name is taken or invalid, or the password too short.
        """
        row = {
            "name": require_name(name),
            "role": role,
            "password": None if password is None else hashed(password),
            "created_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            new = insert(connection, console_user).values(row).on_conflict_do_nothing()
            if connection.scalar(new.returning(console_user.c.name)) is None:
                raise InvalidAccess(
                    f"there is a user {name!r} already; change it with `console user role` or `password`"
                )
            append(connection, actor=actor, action="user added", subject=name, reason=f"as {role}")

    def change_role(self, name: str, role: Role, *, actor: str) -> None:
        """Change a user's role, also in sessions that are open; raises InvalidAccess: there is no such user."""
        with writing(self._engine) as connection:
            _update(connection, name, role=role)
            append(connection, actor=actor, action="user's role changed", subject=name, reason=f"to {role}")

    def change_password(self, name: str, password: str, *, actor: str) -> None:
        """Change a user's password, and end its sessions.

        Raises:
            InvalidAccess: there is no such user, or the password is too short.
        """
        new = hashed(password)
        with writing(self._engine) as connection:
            _update(connection, name, password=new)
            connection.execute(sa.delete(console_session).where(console_session.c.user == name))
            append(connection, actor=actor, action="user's password changed", subject=name, reason="")

    def remove(self, name: str, *, actor: str) -> None:
        """Remove a user and its sessions; raises InvalidAccess: there is no such user."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(console_session).where(console_session.c.user == name))
            removed = connection.execute(sa.delete(console_user).where(console_user.c.name == name))
            if not removed.rowcount:
                raise _unknown(name)
            append(connection, actor=actor, action="user removed", subject=name, reason="")

    def all(self) -> list[ConsoleUser]:
        """Return all users, by name."""
        with reading(self._engine) as connection:
            return [
                _user(row)
                for row in connection.execute(sa.select(console_user).order_by(console_user.c.name))
            ]

    def find(self, name: str) -> ConsoleUser | None:
        """Return a user; None if there is none of this name."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(console_user).where(console_user.c.name == name)).one_or_none()
        return None if row is None else _user(row)

    def check(self, name: str, password: str) -> ConsoleUser | None:
        """Return the user with this name and password, or None; an unknown name takes as long as a wrong password."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(console_user).where(console_user.c.name == name)).one_or_none()
        stored = _nobodys() if row is None or row.password is None else row.password
        right = is_right(password, stored)
        return _user(row) if right and row is not None and row.password is not None else None


@cache
def _nobodys() -> str:
    return hashed("of nobody at all")


def _user(row: sa.Row[tuple[object, ...]]) -> ConsoleUser:
    return ConsoleUser(
        name=row.name, role=row.role, has_password=row.password is not None, created_at=row.created_at
    )


def _update(connection: Connection, name: str, **values: str) -> None:
    changed = connection.execute(sa.update(console_user).where(console_user.c.name == name).values(**values))
    if not changed.rowcount:
        raise _unknown(name)


def _unknown(name: str) -> InvalidAccess:
    return InvalidAccess(f"there is no user {name!r}; `yolo-mlsam console user list` shows all")
