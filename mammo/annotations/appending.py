"""The statements that write the store's tables; each runs in a transaction of its caller."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.annotations.deletion_times import with_deletion_times
from mammo.annotations.events import Revision
from mammo.database import dialect_insert, edit_effort, event, image_pin, insert, prelabel, revision
from mammo.lenient_json import canonical

ALIKE = frozenset({"START_TRAINING", "ANNOTATIONS_DELETED", "TASKS_DELETED"})
"""Actions of which two events may have equal bodies, such as a request that is made twice, or the deletion of an id
that was reused. Every arrival of such an action is an event of its own."""

NEW_REVISION = sa.insert(revision)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Confirms that an event is on the disk."""

    event: int
    duplicate: bool
    """The same event was stored before; nothing was written."""

    project: int | None
    num_revisions: int
    """Number of annotations and deletions that the event reports."""


def event_key(action: str, body: bytes) -> str:
    """Return the key of an event: equal for equal events, except for actions in `ALIKE`."""
    if action in ALIKE:
        return uuid.uuid4().hex
    return hashlib.sha256(action.encode("utf-8", "replace") + b"\0" + body).hexdigest()


def append_event(connection: Connection, row: Mapping[str, Any], revisions: Sequence[Revision]) -> Receipt:
    """Insert an event with its revisions, unless an event with its key is stored.

    Args:
        row: of the table `event`.
        revisions: the revisions that the event reports.
    """
    number = connection.scalar(_new_event(connection.dialect.name), row)
    duplicate = number is None
    if duplicate:
        number = connection.execute(sa.select(event.c.id).where(event.c.key == row["key"])).scalar_one()
    elif revisions:
        timed = with_deletion_times(connection, revisions, received_at=row["received_at"])
        connection.execute(NEW_REVISION, [_revision_row(number, each) for each in timed])
    return Receipt(event=number, duplicate=duplicate, project=row["project"], num_revisions=len(revisions))


@cache
def _new_event(dialect: str) -> Any:
    """Return the statement that inserts an event; cached, because building it takes as long as running it."""
    new = dialect_insert(dialect, event).on_conflict_do_nothing(index_elements=["key"])
    return new.returning(event.c.id)


def _revision_row(number: int, reported: Revision) -> dict[str, Any]:
    return {
        "event": number,
        "kind": reported.kind,
        "project": reported.project,
        "annotation": reported.annotation,
        "task": reported.task,
        "updated_at": reported.updated_at,
        "cancelled": reported.cancelled,
        "content_hash": reported.content_hash,
        "result": None if reported.result is None else canonical(reported.result),
        "task_data": None if reported.task_data is None else canonical(reported.task_data),
        "completed_by": reported.completed_by,
        "lead_time": reported.lead_time,
        "prelabel_version": reported.prelabel_version,
    }


def pin_image(connection: Connection, project: int, task: int, image: str, sha256: str) -> None:
    """Record the SHA-256 of an image of a task, unless one is recorded under its key."""
    row = {"project": project, "task": task, "image": image, "sha256": sha256, "seen_at": datetime.now(UTC)}
    connection.execute(insert(connection, image_pin).values(row).on_conflict_do_nothing())


def replace_prelabel(connection: Connection, row: dict[str, Any], images: Mapping[str, str]) -> None:
    """Store a prelabel in place of an earlier one of the same model version, and pin its images."""
    for image, sha256 in images.items():
        pin_image(connection, row["project"], row["task"], image, sha256)
    mine = [prelabel.c[name] == row[name] for name in ("project", "task", "model_version")]
    old = sa.select(prelabel.c.id).where(*mine)
    connection.execute(sa.delete(edit_effort).where(edit_effort.c.prelabel.in_(old)))
    new = insert(connection, prelabel).values(row)
    changed = {
        key: new.excluded[key] for key in ("regions", "score", "image_sha256", "num_cut", "created_at")
    }
    changed["shown_at"] = sa.func.coalesce(
        new.excluded.shown_at, prelabel.c.shown_at
    )  # once shown, always shown
    connection.execute(
        new.on_conflict_do_update(index_elements=["project", "task", "model_version"], set_=changed)
    )
