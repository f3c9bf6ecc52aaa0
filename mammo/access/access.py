"""Access: users, sessions, keys, and the trail of what they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from sqlalchemy.engine import Engine

from mammo.access.keys import ApiKeys
from mammo.access.sessions import ConsoleSessions
from mammo.access.users import ConsoleUsers
from mammo.audit import AuditTrail


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may do what in an installation, and who did what."""

    users: ConsoleUsers
    sessions: ConsoleSessions
    keys: ApiKeys
    trail: AuditTrail

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Build all of them on one database."""
        return cls(
            users=ConsoleUsers(engine),
            sessions=ConsoleSessions(engine),
            keys=ApiKeys(engine),
            trail=AuditTrail(engine),
        )
