"""Channels: who is notified of what, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.audit import append
from mammo.database import notification_channel, reading, writing
from mammo.errors import InvalidChannel
from mammo.notifications.notice import TOPICS, Notice
from mammo.setting_values import mail_address

Kind = Literal["webhook", "email", "note"]
"""`note`: the model's note on the tasks that are predicted next."""

QUIET_DAYS = 7
"""Days without a correction after which people are notified, unless a channel says otherwise: longer than a weekend."""

MAX_TARGET = 2000
"""Maximum length of an address, in characters."""


@dataclass(frozen=True, kw_only=True)
class NewChannel:
    """A channel that somebody asks for."""

    kind: Kind
    target: str
    """See `Channel.target`."""

    project: int | None
    """None: every project."""

    topics: tuple[str, ...] = ()
    """Topics it receives; empty: all."""

    quiet_days: int = QUIET_DAYS
    """See `Channel.quiet_days`."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One way to tell somebody."""

    id: int
    project: int | None
    """None: every project."""

    kind: Kind
    target: str
    """Address of a webhook, an e-mail address, or nothing (`note`). A webhook's may hold a secret: see `shown`."""

    topics: tuple[str, ...]
    quiet_days: int
    """Days without a correction after which `corrections-stopped` is sent."""

    actor: str
    created_at: datetime
    removed_at: datetime | None

    def wants(self, notice: Notice) -> bool:
        """Return whether the channel receives a notice: not one from before it was added, nor of another project."""
        mine = self.project is None or notice.project is None or notice.project == self.project
        return mine and notice.topic in self.topics and notice.at >= self.created_at

    @property
    def shown(self) -> str:
        """The target without what may be secret: path and query of a webhook's address often hold a token."""
        if self.kind != "webhook":
            return self.target
        url = httpx.URL(self.target)
        hidden = "" if url.raw_path in (b"", b"/") else "/…"
        return f"{url.scheme}://{url.netloc.decode('ascii')}{hidden}"

    def to_json(self) -> dict[str, Any]:
        """Return the channel as a JSON object, without what may be secret."""
        return {
            "id": self.id,
            "project": self.project,
            "kind": self.kind,
            "target": self.shown,
            "topics": list(self.topics),
            "quiet_days": self.quiet_days,
            "actor": self.actor,
            "created_at": self.created_at.isoformat(),
        }


class Channels:
    """Reads and writes the channels. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, new: NewChannel, *, actor: str) -> Channel:
        """Add a channel.

        Args:
            actor: who adds it; in the audit trail.

        Raises:
            InvalidChannel: the target or a topic is not one, or the channel exists.
        """
        _check(new.kind, new.target, new.topics)
        row = {
            "project": new.project,
            "kind": new.kind,
            "target": new.target,
            "topics": ",".join(each for each in TOPICS if not new.topics or each in new.topics),
            "quiet_days": new.quiet_days,
            "actor": actor,
            "created_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            for other in map(_channel, connection.execute(_present())):
                if (other.kind, other.target, other.project) == (new.kind, new.target, new.project):
                    raise InvalidChannel(
                        f"channel {other.id} is the same; remove it first: "
                        f"`yolo-mlsam notifications remove {other.id}`"
                    )
            statement = sa.insert(notification_channel).values(row).returning(notification_channel.c.id)
            number = connection.scalar(statement)
            append(
                connection, actor=actor, action="channel added", subject=f"channel {number}", reason=new.kind
            )
        return self.get(int(number or 0))

    def all(self) -> list[Channel]:
        """Return all channels that were not removed, oldest first."""
        with reading(self._engine) as connection:
            return [_channel(row) for row in connection.execute(_present())]

    def get(self, number: int) -> Channel:
        """Return a channel that was not removed.

        Raises:
            InvalidChannel: there is none of this number.
        """
        found = next((each for each in self.all() if each.id == number), None)
        if found is None:
            raise InvalidChannel(f"there is no channel {number}; `yolo-mlsam notifications list` shows all")
        return found

    def remove(self, number: int, *, actor: str) -> Channel:
        """Remove a channel; what waits for it is not sent.

        Args:
            actor: who removes it; in the audit trail.

        Raises:
            InvalidChannel: there is none of this number.
        """
        channel = self.get(number)
        with writing(self._engine) as connection:
            removed = connection.execute(
                sa.update(notification_channel)
                .where(notification_channel.c.id == number, notification_channel.c.removed_at.is_(None))
                .values(removed_at=datetime.now(UTC))
            )
            if removed.rowcount:
                subject = f"channel {number}"
                append(
                    connection, actor=actor, action="channel removed", subject=subject, reason=channel.kind
                )
        return channel


def _present() -> sa.Select[Any]:
    table = notification_channel
    return sa.select(table).where(table.c.removed_at.is_(None)).order_by(table.c.id)


def _channel(row: Any) -> Channel:
    return Channel(**{**row._mapping, "topics": tuple(row.topics.split(","))})


def _check(kind: Kind, target: str, topics: Sequence[str]) -> None:
    if unknown := sorted(set(topics) - set(TOPICS)):
        raise InvalidChannel(f"no topic is called {', '.join(unknown)}; topics are {', '.join(TOPICS)}")
    if kind == "note" and target:
        raise InvalidChannel("a note has no address: it is on the tasks of the project")
    if kind == "email":
        try:
            valid = bool(target) and bool(mail_address(target))
        except ValueError:
            valid = False
        if not valid:
            raise InvalidChannel("expected one e-mail address such as admin@hospital.example")
    if kind == "webhook":
        try:
            url = httpx.URL(target)
            valid = url.scheme in ("http", "https") and bool(url.host) and not url.userinfo
            valid = valid and target.isascii() and target.isprintable() and len(target) <= MAX_TARGET
        except (httpx.InvalidURL, ValueError):
            valid = False
        if not valid:  # the address is not repeated: it may hold a secret
            raise InvalidChannel(
                "expected the address of a webhook: http:// or https://, in ASCII, without user name and password"
            )
