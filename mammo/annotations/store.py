"""AnnotationStore: every event is kept word for word, and nothing is ever changed or lost."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.annotations.appending import Receipt, append_event, event_key
from mammo.annotations.automatic import automatic_revisions
from mammo.annotations.events import canonical, parse, project_of, revisions_of
from mammo.annotations.headers import CorrectionHeader
from mammo.annotations.history import correction_headers, history
from mammo.annotations.prelabels import PrelabelRecords
from mammo.annotations.view import RevisionHeader, current_view, existing_annotations
from mammo.annotations.writer import Writer
from mammo.blinding import patient_or_task
from mammo.database import dataset_version, event, prelabel, probe_write, reading, revision
from mammo.errors import StorageUnavailable

CHUNK = 200
"""Rows of heavy content read by one statement; SQLite takes a limited number of parameters."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """The newest revision of one annotation."""

    annotation_id: int
    task_id: int
    project_id: int
    updated_at: datetime
    task_data: dict[str, Any]
    result: list[dict[str, Any]]
    completed_by: int | None
    lead_time: float | None
    """Seconds the annotator spent."""

    content_hash: str
    revision: int = 0
    """Number of its row in the store."""

    prelabel_version: str | None = None
    """Model version of the prelabel the annotator started from, when Label Studio told."""

    automatic: bool = False
    """A prediction that no person has looked at; see `mammo.annotations.automatic`."""


@dataclass(frozen=True, kw_only=True)
class AnnotationEvent:
    """One event about one annotation."""

    action: str
    received_at: datetime
    revision: int
    """Number of the row."""

    cancelled: bool
    content: Correction | None
    """None when it is a deletion."""


class AnnotationStore(PrelabelRecords):
    """Append-only. Threads of one process share one store; several processes may each have one."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, Writer(engine))
        self._retrying = threading.Lock()

    @property
    def problem(self) -> str | None:
        """Code of the error when the last write could not be kept: what comes now may be refused; else None."""
        return self._writer.problem

    def retry(self) -> None:
        """After a write that could not be kept: look whether writing works again. Never raises, never waits twice."""
        if self.problem is None or not self._retrying.acquire(blocking=False):
            return
        try:
            with suppress(StorageUnavailable):
                self._writer.run(probe_write)
        finally:
            self._retrying.release()

    def close(self) -> None:
        """Take no more writes: later ones raise StorageUnavailable."""
        self._writer.close()

    def append(
        self,
        body: bytes,
        *,
        action: str,
        received_at: datetime,
        headers: Mapping[str, str] | None = None,
    ) -> Receipt:
        """Keep an event; returns only once it is flushed to the disk.

        Args:
            body: the webhook's body as it came; parts that cannot be understood are kept and not used.
            action: its action, for example `ANNOTATION_CREATED`; unknown ones are kept too.
            received_at: with a time zone.
            headers: those it came with that are worth keeping; never one that holds a secret.

        Raises:
            StorageUnavailable: it is not kept: the database is full, locked or gone.
        """
        content = parse(body)
        row = {
            "key": event_key(action, body),
            "action": action,
            "project": project_of(content),
            "received_at": received_at,
            "body": body,
            "headers": canonical(dict(headers)) if headers else None,
        }
        revisions = revisions_of(action, content)
        return self._writer.run(lambda connection: append_event(connection, row, revisions))

    def corrections(self, project: int) -> list[Correction]:
        """The current view of a project: each annotation's newest revision, not deleted, not cancelled.

        A pure function of the events kept, whatever their order and however often each arrived.
        """
        with reading(self._engine) as connection:
            rows = [heading.row for heading in current_view(history(connection, project))]
            found = _contents(connection, rows)
            unseen = automatic_revisions(connection, project, found)
        return [replace(found[row], automatic=row in unseen) for row in rows]

    def correction_headers(self, project: int) -> list[CorrectionHeader]:
        """The same without content, and without the automatic ones: in a few statements, however many they are."""
        with reading(self._engine) as connection:
            found = correction_headers(connection, project)
            unseen = automatic_revisions(connection, project, {each.revision for each in found})
        return [each for each in found if each.revision not in unseen] if unseen else found

    def contents(self, revisions: Sequence[int]) -> dict[int, Correction]:
        """Corrections by the numbers of their rows."""
        with reading(self._engine) as connection:
            return _contents(connection, revisions)

    def history(self, annotation: int) -> list[AnnotationEvent]:
        """Everything that was ever told of one annotation, in the order in which it was received."""
        statement = (
            sa.select(revision, event.c.action, event.c.received_at)
            .join(event, revision.c.event == event.c.id)
            .where(revision.c.annotation == annotation)
            .order_by(revision.c.id)
        )
        with reading(self._engine) as connection:
            return [
                AnnotationEvent(
                    action=row.action,
                    received_at=row.received_at,
                    revision=row.id,
                    cancelled=row.cancelled,
                    content=_correction(row) if row.kind == "annotation" else None,
                )
                for row in connection.execute(statement)
            ]

    def corrections_since(self, project: int, moment: datetime | None = None) -> int:
        """How many corrections of the current view are new; automatic annotations are none.

        Args:
            moment: count what was received after it; None: after the newest dataset version of the project
                was built, or all where there is none.
        """
        with reading(self._engine) as connection:
            return len(_fresh(connection, project, moment))

    def patients_since(self, project: int) -> int:
        """How many patients the new corrections are of; a task that names none counts as one."""
        with reading(self._engine) as connection:
            rows = [heading.row for heading in _fresh(connection, project, None)]
            patients: set[str] = set()
            for start in range(0, len(rows), CHUNK):
                statement = sa.select(revision).where(revision.c.id.in_(rows[start : start + CHUNK]))
                told = (_correction(row) for row in connection.execute(statement))
                patients |= {patient_or_task(each.task_id, each.task_data) for each in told}
            return len(patients)

    def revision_headers(self, project: int, *, tasks: Collection[int] | None = None) -> list[RevisionHeader]:
        """The annotations that are there as far as is known, skipped ones included, without their content.

        Args:
            tasks: of these only; None: of all.
        """
        with reading(self._engine) as connection:
            return [
                heading
                for heading in existing_annotations(history(connection, project, tasks=tasks))
                if tasks is None or heading.task in tasks
            ]

    def projects(self) -> list[int]:
        """Every project that an event or a prelabel names."""
        with reading(self._engine) as connection:
            found = sa.union(sa.select(event.c.project), sa.select(prelabel.c.project))
            return sorted(each for each in connection.scalars(found) if each is not None)

    def last_event(self) -> int:
        """Number of the newest event; 0 before the first."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(sa.func.max(event.c.id))) or 0


def _fresh(connection: Connection, project: int, moment: datetime | None) -> list[RevisionHeader]:
    """The new corrections of the current view; see `corrections_since`."""
    after: sa.ColumnElement[bool]
    if moment is not None:
        after = event.c.received_at > moment
    else:
        newest = sa.select(sa.func.max(dataset_version.c.last_event))
        after = event.c.id > (connection.scalar(newest.where(dataset_version.c.project == project)) or 0)
    new = sa.select(revision.c.id).join(event, revision.c.event == event.c.id)
    fresh = set(connection.scalars(new.where(after, revision.c.project == project)))
    fresh -= automatic_revisions(connection, project, fresh)
    return [heading for heading in current_view(history(connection, project)) if heading.row in fresh]


def _contents(connection: Connection, rows: Sequence[int]) -> dict[int, Correction]:
    found: dict[int, Correction] = {}
    for start in range(0, len(rows), CHUNK):
        statement = sa.select(revision).where(revision.c.id.in_(rows[start : start + CHUNK]))
        found.update({row.id: _correction(row) for row in connection.execute(statement)})
    return found


def _correction(row: Any) -> Correction:
    return Correction(
        annotation_id=row.annotation,
        task_id=row.task,
        project_id=row.project,
        updated_at=row.updated_at,
        task_data=orjson.loads(row.task_data),
        result=orjson.loads(row.result),
        completed_by=row.completed_by,
        lead_time=row.lead_time,
        content_hash=row.content_hash,
        revision=row.id,
        prelabel_version=row.prelabel_version,
    )
