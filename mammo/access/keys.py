"""ApiKeys: keys of programs. Each has a name and a role, and is kept as a hash; it is shown once, when it is made."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.access.roles import Role, require_name
from mammo.access.sessions import digest_of
from mammo.audit import append
from mammo.database import api_key, insert, reading, writing
from mammo.errors import InvalidAccess, StorageUnavailable

USE_NOTED_EVERY = timedelta(hours=1)
"""A key that is used all the time is written once an hour."""


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What is known of a key."""

    name: str
    role: Role
    created_at: datetime
    used_at: datetime | None
    """Its last use, to the hour."""


class ApiKeys:
    """Makes, lists, revokes and recognises keys. Safe to share between threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, role: Role, *, actor: str) -> str:
        """Return a new key; raises InvalidAccess: the name is taken or invalid."""
        key = secrets.token_urlsafe(32)
        row = {
            "name": require_name(name),
            "digest": digest_of(key),
            "role": role,
            "created_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            new = insert(connection, api_key).values(row).on_conflict_do_nothing()
            if connection.scalar(new.returning(api_key.c.name)) is None:
                raise InvalidAccess(f"there is a key {name!r} already; revoke it, or choose another name")
            append(connection, actor=actor, action="key added", subject=name, reason=f"as {role}")
        return key

    def revoke(self, name: str, *, actor: str) -> None:
        """Revoke a key at once; raises InvalidAccess: there is none of this name."""
        with writing(self._engine) as connection:
            if not connection.execute(sa.delete(api_key).where(api_key.c.name == name)).rowcount:
                raise InvalidAccess(f"there is no key {name!r}; `yolo-mlsam console key list` shows all")
            append(connection, actor=actor, action="key revoked", subject=name, reason="")

    def all(self) -> list[ApiKey]:
        """Return all keys, by name."""
        with reading(self._engine) as connection:
            return [_key(row) for row in connection.execute(sa.select(api_key).order_by(api_key.c.name))]

    def find(self, keys: Sequence[str], *, now: datetime | None = None) -> ApiKey | None:
        """Return what is known of the first of `keys` that is one, and note its use."""
        now = now or datetime.now(UTC)
        wanted = api_key.c.digest.in_([digest_of(each) for each in keys])
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(api_key).where(wanted)).first()
        if row is None:
            return None
        if row.used_at is None or now - row.used_at > USE_NOTED_EVERY:
            self._note_use(row.name, now)
        return _key(row)

    def _note_use(self, name: str, now: datetime) -> None:
        try:
            with writing(self._engine) as connection:
                connection.execute(sa.update(api_key).where(api_key.c.name == name).values(used_at=now))
        except StorageUnavailable:
            pass  # a full disk takes nobody's access


def _key(row: sa.Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(name=row.name, role=row.role, created_at=row.created_at, used_at=row.used_at)
