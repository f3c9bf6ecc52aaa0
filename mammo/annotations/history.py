"""What was told of a project's annotations, read for the view: never the heavy content of a revision.

The columns that are read here are those of the index `ix_revision_view`, so that neither what was drawn nor what
lies behind it in a row is turned over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.annotations.events import RECONCILED, Kind
from mammo.annotations.headers import CorrectionOutline
from mammo.annotations.view import Heading, living
from mammo.database import event, revision

DELETIONS: tuple[Kind, ...] = ("annotation_deleted", "task_deleted")


def history(
    connection: Connection, project: int, *, tasks: Collection[int] | None = None
) -> Iterator[Heading]:
    """Every revision of a project in the order of arrival, and every deletion that may be of it.

    Args:
        tasks: of annotations only that were on one of these at some time; None: of all.
    """
    statement = _history_of(project)
    columns = revision.c
    if tasks is not None:  # an id may have been on another task before
        theirs = sa.select(columns.annotation).where(columns.task.in_(tasks))
        statement = statement.where(columns.annotation.in_(theirs) | columns.task.in_(tasks))
    for row in connection.execute(statement):
        yield _heading(*row)


def outlines(connection: Connection, project: int) -> list[CorrectionOutline]:
    """The current view of a project as `view.current_view` tells it, automatic annotations included, with little work.

    What no deletion names is simply the newest; the whole rule is asked for the rest alone.
    """
    columns = revision.c
    statement = (
        sa.select(
            columns.annotation,
            columns.updated_at,
            columns.content_hash,
            columns.prelabel_version,
            columns.id,
            columns.task,
            columns.cancelled,
            columns.completed_by,
            columns.lead_time,
        )
        .where(columns.project == project, columns.kind == "annotation")
        .order_by(columns.annotation)
    )
    dead = _dead(connection, project)
    found = []
    for number, (first, *more) in groupby(connection.execute(statement), key=itemgetter(0)):
        newest, begun = first, first[1]
        for row in more:
            begun = min(begun, row[1])
            newest = max(newest, row, key=_age)
        _, moment, _, version, row, task, cancelled, user, seconds = newest
        if not cancelled and number not in dead:
            found.append(CorrectionOutline(row, number, task, moment, begun, user, seconds, version))
    return sorted(found, key=attrgetter("task_id", "annotation_id"))


def _dead(connection: Connection, project: int) -> set[int]:
    """The annotations of a project that a deletion has taken."""
    columns = revision.c
    gone = _mine(project) & columns.kind.in_(DELETIONS)
    if connection.execute(sa.select(columns.id).where(gone).limit(1)).first() is None:
        return set()
    there = (columns.project == project) & (columns.kind == "annotation")
    on_gone_tasks = sa.select(columns.annotation).where(
        there, columns.task.in_(sa.select(columns.task).where(gone))
    )
    named = sa.select(columns.annotation).where(gone, columns.annotation.is_not(None))
    touched = columns.annotation.in_(named) | columns.annotation.in_(on_gone_tasks)
    statement = _history_of(project).where(columns.kind.in_(DELETIONS) | touched)
    headings = [_heading(*row) for row in connection.execute(statement)]
    alive = {heading.annotation for heading in living(headings)}
    return {
        heading.annotation
        for heading in headings
        if heading.annotation is not None and heading.annotation not in alive
    }


def _age(row: Any) -> tuple[datetime, str, str, int]:
    """As in `view`; of two that tell the same, the first to arrive."""
    return row[1], row[2], row[3] or "", -row[4]


def _mine(project: int) -> sa.ColumnElement[bool]:
    columns = revision.c
    # A deletion that does not name its project still deletes: ids are unique over all projects.
    return (columns.project == project) | (columns.project.is_(None) & (columns.kind != "annotation"))


def _history_of(project: int) -> sa.Select[Any]:
    """What `_heading` takes."""
    columns = revision.c
    return (
        sa.select(
            columns.id,
            columns.kind,
            columns.annotation,
            columns.task,
            columns.updated_at,
            columns.cancelled,
            columns.content_hash,
            columns.prelabel_version,
            event.c.action,
            event.c.received_at,
        )
        .join(event, columns.event == event.c.id)
        .where(_mine(project))
        .order_by(columns.id)
    )


def _heading(
    row: int,
    kind: Kind,
    annotation: int | None,
    task: int | None,
    updated_at: datetime | None,
    cancelled: bool,
    content_hash: str,
    prelabel_version: str | None,
    action: str,
    received_at: datetime,
) -> Heading:
    # A webhook says that an annotation was there when it was written, a reconciliation that it is there now.
    written = updated_at if kind == "annotation" and action != RECONCILED else None
    return Heading(
        row,
        kind,
        annotation,
        task,
        updated_at,
        cancelled,
        content_hash,
        prelabel_version,
        written or received_at,
    )
