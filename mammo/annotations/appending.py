"""The statements that write the store's tables; each runs in a transaction of its caller."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.annotations.deletion_times import with_deletion_times
from mammo.annotations.events import Revision
from mammo.annotations.stated_sizes import problem_of
from mammo.database import dialect_insert, edit_effort, event, image_pin, insert, prelabel, revision
from mammo.geometry import Size
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

    problems: Mapping[int, str] = field(default_factory=dict)
    """Annotations that no reader will read, with the code of the reason; see `mammo.annotations.stated_sizes`."""


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
    problems: dict[int, str] = {}
    if duplicate:
        number = connection.execute(sa.select(event.c.id).where(event.c.key == row["key"])).scalar_one()
    elif revisions:
        timed = with_deletion_times(connection, revisions, received_at=row["received_at"])
        rows = [_revision_row(number, each, _problem(connection, each)) for each in timed]
        connection.execute(NEW_REVISION, rows)
        problems = {each["annotation"]: each["problem"] for each in rows if each["problem"]}
    return Receipt(
        event=number,
        duplicate=duplicate,
        project=row["project"],
        num_revisions=len(revisions),
        problems=problems,
    )


def _problem(connection: Connection, reported: Revision) -> str | None:
    if reported.result is None or reported.project is None or reported.task is None:
        return None
    sizes = image_sizes(connection, reported.project, [reported.task])
    return problem_of(reported.result, sizes.get(reported.task, {}))


@cache
def _new_event(dialect: str) -> Any:
    """Return the statement that inserts an event; cached, because building it takes as long as running it."""
    new = dialect_insert(dialect, event).on_conflict_do_nothing(index_elements=["key"])
    return new.returning(event.c.id)


def _revision_row(number: int, reported: Revision, problem: str | None) -> dict[str, Any]:
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
        "problem": problem,
    }


def pin_image(
    connection: Connection, project: int, task: int, image: str, sha256: str, *, size: Size | None
) -> None:
    """Record the SHA-256 and the size of an image of a task, unless they are recorded under its key."""
    row = {"project": project, "task": task, "image": image, "sha256": sha256, "seen_at": datetime.now(UTC)}
    width, height = (size.width, size.height) if size else (None, None)
    new = insert(connection, image_pin).values(**row, width=width, height=height)
    unknown = image_pin.c.width.is_(None) & new.excluded.width.is_not(None)
    connection.execute(
        new.on_conflict_do_update(
            index_elements=["project", "task", "image"],
            set_={name: new.excluded[name] for name in ("width", "height")},
            where=unknown & (image_pin.c.sha256 == new.excluded.sha256),
        )
    )


def image_sizes(
    connection: Connection, project: int, tasks: Sequence[int] | None = None
) -> dict[int, dict[str, Size]]:
    """Return the sizes of the images of some tasks or of all, by task and image key, as far as they are known."""
    columns = image_pin.c
    statement = sa.select(columns.task, columns.image, columns.width, columns.height).where(
        columns.project == project, columns.width.is_not(None)
    )
    if tasks is not None:
        statement = statement.where(columns.task.in_(tasks))
    sizes: dict[int, dict[str, Size]] = {}
    for task, image, width, height in connection.execute(statement):
        sizes.setdefault(task, {})[image] = Size(width, height)
    return sizes


def replace_prelabel(
    connection: Connection, row: dict[str, Any], images: Mapping[str, str], sizes: Mapping[str, Size]
) -> None:
    """Store a prelabel in place of an earlier one of the same model version, and pin its images."""
    for image, sha256 in images.items():
        pin_image(connection, row["project"], row["task"], image, sha256, size=sizes.get(image))
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
