"""When an annotation or a task was deleted, by Label Studio's clock.

Label Studio sends the time of a save, but not of a deletion, and its clock may differ from ours by hours. Whether a
deletion came before or after a save is therefore never decided by comparing the two clocks: the difference between them
is measured on the saves that were received before the deletion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.annotations.events import RECONCILED, Revision
from mammo.database import event, revision

NUM_SAVES = 100
"""Newest saves on which the difference of the clocks is measured."""

MAX_OFFSET = timedelta(days=366)
"""A save whose time differs by more from ours tells nothing about the clocks."""

CHUNK = 200
"""Deletions whose annotations are looked up by one statement."""


def with_deletion_times(
    connection: Connection, revisions: Sequence[Revision], *, received_at: datetime
) -> Sequence[Revision]:
    """Return revisions in which each deletion has its time as `updated_at`; None before the first save is received.

    Args:
        received_at: when the event was received; of a reconciliation, when Label Studio was asked.
    """
    if all(each.kind == "annotation" for each in revisions):
        return revisions
    offset = _clock_offset(connection)
    if offset is None:
        return revisions
    annotations = [each.annotation for each in revisions if each.kind == "annotation_deleted"]
    tasks = [each.task for each in revisions if each.kind == "task_deleted"]
    # What was received before a deletion was saved before it, also if a clock has been set meanwhile.
    newest = _newest_saves(connection, revision.c.annotation, annotations)
    newest_on_task = _newest_saves(connection, revision.c.task, tasks)
    timed = []
    for each in revisions:
        known = newest_on_task.get(each.task) if each.kind == "task_deleted" else newest.get(each.annotation)
        time = received_at - offset
        timed.append(
            each if each.kind == "annotation" else replace(each, updated_at=max(time, known or time))
        )
    return timed


def _clock_offset(connection: Connection) -> timedelta | None:
    """Return how far our clock is ahead of Label Studio's, and the least delay of its webhooks; None if unknown."""
    columns = revision.c
    saves = (
        sa.select(event.c.received_at, columns.updated_at)
        .join(event, columns.event == event.c.id)
        .where(columns.kind == "annotation", event.c.action != RECONCILED)
        .order_by(columns.id.desc())
        .limit(NUM_SAVES)
    )
    offsets = (received - saved for received, saved in connection.execute(saves))
    return min((each for each in offsets if abs(each) < MAX_OFFSET), default=None)


def _newest_saves(
    connection: Connection, column: sa.Column[int], ids: Sequence[int | None]
) -> dict[int | None, datetime]:
    newest: dict[int | None, datetime] = {}
    for start in range(0, len(ids), CHUNK):
        statement = (
            sa.select(column, sa.func.max(revision.c.updated_at, type_=revision.c.updated_at.type))
            .where(column.in_(ids[start : start + CHUNK]), revision.c.kind == "annotation")
            .group_by(column)
        )
        newest |= {row[0]: row[1] for row in connection.execute(statement)}
    return newest
