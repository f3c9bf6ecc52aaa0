"""The statements that write the store's tables, each within a transaction of its caller's."""

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

from mammo.annotations.events import Revision, canonical
from mammo.database import dialect_insert, edit_effort, event, image_pin, insert, prelabel, revision

ALIKE = frozenset({"START_TRAINING", "ANNOTATIONS_DELETED", "TASKS_DELETED"})
"""Actions whose bodies may be equal byte for byte and yet tell of two things, such as a request made twice or a
deletion of an id that was given anew: every receipt is its own event."""

NEW_REVISION = sa.insert(revision)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Says that an event is on the disk."""

    event: int
    duplicate: bool
    """The very same event was kept before; nothing was written."""

    project: int | None
    num_revisions: int
    """Annotations and deletions that the event told of."""


def event_key(action: str, body: bytes) -> str:
    """What an event is known by: the same for the same event, another for each of those that may look alike."""
    if action in ALIKE:
        return uuid.uuid4().hex
    return hashlib.sha256(action.encode("utf-8", "replace") + b"\0" + body).hexdigest()


def append_event(connection: Connection, row: Mapping[str, Any], revisions: Sequence[Revision]) -> Receipt:
    """Keep an event with what it tells, unless its key is kept already.

    Args:
        row: of the table `event`.
        revisions: what it tells.
    """
    number = connection.scalar(_new_event(connection.dialect.name), row)
    duplicate = number is None
    if duplicate:
        number = connection.execute(sa.select(event.c.id).where(event.c.key == row["key"])).scalar_one()
    elif revisions:
        connection.execute(NEW_REVISION, [_revision_row(number, each) for each in revisions])
    return Receipt(event=number, duplicate=duplicate, project=row["project"], num_revisions=len(revisions))


@cache
def _new_event(dialect: str) -> Any:
    """Built once: building it costs as much as running it."""
    fresh = dialect_insert(dialect, event).on_conflict_do_nothing(index_elements=["key"])
    return fresh.returning(event.c.id)


def _revision_row(number: int, told: Revision) -> dict[str, Any]:
    return {
        "event": number,
        "kind": told.kind,
        "project": told.project,
        "annotation": told.annotation,
        "task": told.task,
        "updated_at": told.updated_at,
        "cancelled": told.cancelled,
        "content_hash": told.content_hash,
        "result": None if told.result is None else canonical(told.result),
        "task_data": None if told.task_data is None else canonical(told.task_data),
        "completed_by": told.completed_by,
        "lead_time": told.lead_time,
        "prelabel_version": told.prelabel_version,
    }


def pin_image(connection: Connection, project: int, task: int, image: str, sha256: str) -> None:
    """Remember an image of a task, unless one is remembered under its key."""
    row = {"project": project, "task": task, "image": image, "sha256": sha256, "seen_at": datetime.now(UTC)}
    connection.execute(insert(connection, image_pin).values(row).on_conflict_do_nothing())


def replace_prelabel(connection: Connection, row: dict[str, Any], images: Mapping[str, str]) -> None:
    """Keep a proposal in the place of the one before of the same model version; pins its images."""
    for image, sha256 in images.items():
        pin_image(connection, row["project"], row["task"], image, sha256)
    mine = [prelabel.c[name] == row[name] for name in ("project", "task", "model_version")]
    old = sa.select(prelabel.c.id).where(*mine)
    connection.execute(sa.delete(edit_effort).where(edit_effort.c.prelabel.in_(old)))
    new = insert(connection, prelabel).values(row)
    changed = {key: new.excluded[key] for key in ("regions", "score", "image_sha256", "created_at")}
    changed["shown_at"] = sa.func.coalesce(new.excluded.shown_at, prelabel.c.shown_at)  # seen is seen
    connection.execute(
        new.on_conflict_do_update(index_elements=["project", "task", "model_version"], set_=changed)
    )
