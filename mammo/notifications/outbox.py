"""Outbox: one row for each notice and channel, from before it is sent until long after: the delivery log.

A message is claimed before it is sent, for `LEASE`. A process that is killed meanwhile leaves the claim, and when that
has run out, the message is sent again with the same id. So it arrives at least once, and a receiver can tell a
repetition.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import insert, notification, notification_channel, notification_cursor, reading, writing
from mammo.notifications.channels import Channel
from mammo.notifications.notice import TEST, Notice

LEASE = timedelta(minutes=2)
"""Time for which a claim holds; longer than an attempt takes."""

PAUSES = tuple(
    timedelta(seconds=each)
    for each in (10, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600, 24 * 3600)
)
"""Pauses after failed attempts; after the last one the message is given up, after two days."""

MAX_PROBLEM = 300
"""Maximum length of the recorded reason of a failed attempt, in characters."""

MessageState = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """A notice on its way to a channel."""

    id: int
    message: str
    """Sent with it; the same in every attempt."""

    event: str
    channel: int
    topic: str
    project: int | None
    body: bytes
    state: MessageState
    attempts: int
    due_at: datetime | None
    """Next attempt; None once it has ended."""

    created_at: datetime
    ended_at: datetime | None
    problem: str | None
    """Why the last attempt failed."""

    @property
    def content(self) -> dict[str, Any]:
        """The decoded body."""
        return dict(orjson.loads(self.body))

    def to_json(self) -> dict[str, Any]:
        """Return the message as a JSON object, with times as ISO text."""
        fields = {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in asdict(self).items()
            if key not in ("body", "event")
        }
        return {**fields, "text": self.content["text"]}


class Outbox:
    """Reads and writes the outbox. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def cursors(self) -> dict[str, int]:
        """Return all cursors by name."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(notification_cursor))
            return {row.name: row.position for row in rows}

    def add(
        self,
        notices: Iterable[tuple[Channel, Notice]],
        *,
        now: datetime,
        cursors: dict[str, int] | None = None,
    ) -> int:
        """Store messages and move cursors in one transaction; a channel receives each event once.

        Returns:
            The number of new messages.
        """
        rows = [_row(channel, notice, now=now) for channel, notice in notices]
        events = {row["event"] for row in rows}
        table = notification
        with reading(self._engine) as connection:
            sent_before = sa.select(table.c.event, table.c.channel).where(table.c.event.in_(events))
            earlier = {(row.event, row.channel) for row in connection.execute(sent_before)}
        rows = [row for row in rows if (row["event"], row["channel"]) not in earlier]
        if not rows and not cursors:
            return 0  # a round without news takes no lock
        with writing(self._engine) as connection:
            added = 0
            for row in rows:
                statement = insert(connection, table).values(row).on_conflict_do_nothing()
                added += connection.scalar(statement.returning(table.c.id)) is not None
            for name, position in (cursors or {}).items():
                _move(connection, name, position)
        return added

    def add_test(self, channel: Channel, notice: Notice, *, now: datetime) -> int:
        """Store the message of a test, claimed for the process that sends it; return its id in the outbox."""
        row = {**_row(channel, notice, now=now), "due_at": now + LEASE, "attempts": 1}
        with writing(self._engine) as connection:
            statement = sa.insert(notification).values(row).returning(notification.c.id)
            return int(connection.scalar(statement) or 0)

    def due(self, *, now: datetime, limit: int = 100) -> list[Message]:
        """Return the messages whose next attempt is due, oldest first; none for a channel that was removed."""
        table, channel = notification, notification_channel
        statement = (
            sa.select(table)
            .join(channel, channel.c.id == table.c.channel)
            .where(table.c.state == "waiting", table.c.due_at <= now, channel.c.removed_at.is_(None))
            .where(table.c.topic != TEST)
            .order_by(table.c.id)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [Message(**row._mapping) for row in connection.execute(statement)]

    def claim(self, message: Message, *, now: datetime) -> Message | None:
        """Claim a message for one attempt; None if another process has."""
        table = notification
        with writing(self._engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.id == message.id, table.c.state == "waiting", table.c.due_at == message.due_at)
                .values(due_at=now + LEASE, attempts=table.c.attempts + 1)
            )
        return self.get(message.id) if changed.rowcount else None

    def delivered(self, message: Message, *, now: datetime) -> None:
        """Record that a claimed message was taken."""
        self._end(message, "delivered", None, now=now)

    def failed(self, message: Message, problem: str, *, now: datetime, final: bool = False) -> None:
        """Record a failed attempt of a claimed message, and when the next one is due.

        Args:
            final: make no further attempt.
        """
        if final or message.attempts > len(PAUSES):
            self._end(message, "failed", problem, now=now)
            return
        values = {"due_at": now + PAUSES[message.attempts - 1], "problem": problem[:MAX_PROBLEM]}
        self._update(message, **values)

    def get(self, number: int) -> Message:
        """Return a message by its id in the outbox."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(notification).where(notification.c.id == number)).one()
        return Message(**row._mapping)

    def newest(self, *, channel: int | None = None, topic: str = "", limit: int = 50) -> list[Message]:
        """Return messages, newest first.

        Args:
            topic: only of this topic; empty: of all.
        """
        statement = sa.select(notification).order_by(notification.c.id.desc()).limit(limit)
        if channel is not None:
            statement = statement.where(notification.c.channel == channel)
        if topic:
            statement = statement.where(notification.c.topic == topic)
        with reading(self._engine) as connection:
            return [Message(**row._mapping) for row in connection.execute(statement)]

    def _end(self, message: Message, state: MessageState, problem: str | None, *, now: datetime) -> None:
        problem = problem and problem[:MAX_PROBLEM]
        self._update(message, state=state, due_at=None, ended_at=now, problem=problem)

    def _update(self, message: Message, **values: Any) -> None:
        """Change a message, unless another process has claimed it since."""
        table = notification
        with writing(self._engine) as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.id == message.id, table.c.attempts == message.attempts)
                .where(table.c.state == "waiting")
                .values(values)
            )


def _row(channel: Channel, notice: Notice, *, now: datetime) -> dict[str, Any]:
    message = f"msg_{uuid.uuid4().hex}"
    return {
        "message": message,
        "event": notice.event,
        "channel": channel.id,
        "topic": notice.topic,
        "project": notice.project,
        "body": notice.body(message),
        "state": "waiting",
        "attempts": 0,
        "due_at": now,
        "created_at": now,
    }


def _move(connection: Connection, name: str, position: int) -> None:
    """Move a cursor forward; another process may have moved it further."""
    table = notification_cursor
    row = {"name": name, "position": position}
    statement = insert(connection, table).values(row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"], set_={"position": position}, where=table.c.position < position
        )
    )
