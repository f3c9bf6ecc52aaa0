"""Read the history of a project's annotations for the view, without the content of revisions.

The columns that are read are those of the index `ix_revision_view`, so that neither regions nor the columns stored
after them are loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.annotations.events import RECONCILED, RevisionKind
from mammo.annotations.headers import CorrectionHeader
from mammo.annotations.view import RevisionHeader, existing_annotations
from mammo.database import event, revision

DELETIONS: tuple[RevisionKind, ...] = ("annotation_deleted", "task_deleted")


def history(
    connection: Connection, project: int, *, tasks: Collection[int] | None = None
) -> Iterator[RevisionHeader]:
    """Yield every revision of a project in order of arrival, and every deletion that may concern it.

    Args:
        tasks: Only annotations that were on one of these tasks at some time; None: all annotations.
    """
    statement = _history_of(project)
    columns = revision.c
    if tasks is not None:  # a reused annotation id may have been on another task before
        on_tasks = sa.select(columns.annotation).where(columns.task.in_(tasks))
        statement = statement.where(columns.annotation.in_(on_tasks) | columns.task.in_(tasks))
    for row in connection.execute(statement):
        yield _header(row)


def correction_headers(connection: Connection, project: int) -> list[CorrectionHeader]:
    """Return the current view of a project, equal to `view.current_view`, automatic annotations included.

    For annotations that no deletion concerns, the newest revision is the answer; only the others need the whole rule.
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
    deleted = _deleted_annotations(connection, project)
    headers = []
    for annotation, (first, *others) in groupby(connection.execute(statement), key=itemgetter(0)):
        newest, first_updated_at = first, first[1]
        for row in others:
            first_updated_at = min(first_updated_at, row[1])
            newest = max(newest, row, key=_age)
        _, updated_at, _, version, row_id, task, cancelled, user, lead_time = newest
        if not cancelled and annotation not in deleted:
            headers.append(
                CorrectionHeader(
                    row_id, annotation, task, updated_at, first_updated_at, user, lead_time, version
                )
            )
    return sorted(headers, key=attrgetter("task_id", "annotation_id"))


def _deleted_annotations(connection: Connection, project: int) -> set[int]:
    """Return the annotations of a project that a deletion has removed."""
    columns = revision.c
    deletions = _concerns(project) & columns.kind.in_(DELETIONS)
    if connection.execute(sa.select(columns.id).where(deletions).limit(1)).first() is None:
        return set()
    annotations = (columns.project == project) & (columns.kind == "annotation")
    on_deleted_tasks = sa.select(columns.annotation).where(
        annotations, columns.task.in_(sa.select(columns.task).where(deletions))
    )
    named = sa.select(columns.annotation).where(deletions, columns.annotation.is_not(None))
    concerned = columns.annotation.in_(named) | columns.annotation.in_(on_deleted_tasks)
    statement = _history_of(project).where(columns.kind.in_(DELETIONS) | concerned)
    headers = [_header(row) for row in connection.execute(statement)]
    existing = {header.annotation for header in existing_annotations(headers)}
    return {
        header.annotation
        for header in headers
        if header.annotation is not None and header.annotation not in existing
    }


def _age(row: Any) -> tuple[datetime, str, str, int]:
    """Sort key of a row of `correction_headers`: as in `view`; of equal revisions, the first to arrive."""
    return row[1], row[2], row[3] or "", -row[4]


def _concerns(project: int) -> sa.ColumnElement[bool]:
    columns = revision.c
    # A deletion without a project counts for every project, because Label Studio's ids are unique over all projects.
    return (columns.project == project) | (columns.project.is_(None) & (columns.kind != "annotation"))


def _history_of(project: int) -> sa.Select[Any]:
    """Select the fields of `RevisionHeader`, and the action and time of the event, in order of arrival."""
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
        .where(_concerns(project))
        .order_by(columns.id)
    )


def _header(row: sa.Row[Any]) -> RevisionHeader:
    return RevisionHeader._make((*row[:8], row.received_at, row.action == RECONCILED))
