"""AnnotationStore: an append-only log of events and the corrections that follow from it (step 8 of the walk)."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.annotations.appending import Receipt, append_event, event_key, image_sizes
from mammo.annotations.automatic import automatic_revisions
from mammo.annotations.events import parse, project_of, revisions_of
from mammo.annotations.headers import CorrectionHeader
from mammo.annotations.history import correction_headers, history
from mammo.annotations.prelabels import PrelabelRecords
from mammo.annotations.view import RevisionHeader, current_view, existing_annotations
from mammo.annotations.writer import Writer
from mammo.blinding import patient_or_task
from mammo.database import dataset_version, event, prelabel, probe_write, reading, revision
from mammo.errors import StorageUnavailable
from mammo.geometry import Size
from mammo.lenient_json import canonical, loads

CHUNK = 200
"""Rows whose content one statement reads; SQLite limits the number of parameters."""


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
    """Time the annotator spent, in seconds."""

    content_hash: str
    revision: int = 0
    """Row id."""

    prelabel_version: str | None = None
    """Model version of the prelabel that the annotator started from; None if Label Studio does not report it."""

    sizes: Mapping[str, Size] = field(default_factory=dict)
    """Sizes of the task's images, by image key, as far as they are known: of images that were opened."""

    automatic: bool = False
    """Whether this service submitted it, and no person has looked at it; see `mammo.annotations.automatic`."""


@dataclass(frozen=True, kw_only=True)
class NewCorrections:
    """Numbers of new corrections, and of their patients; a task without a patient counts as one."""

    corrections: int
    patients: int


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset version, as its row says."""

    name: str
    num_images: int
    num_held_out: int | None
    """Patients in its test fold; None: an earlier release built it."""


@dataclass(frozen=True, kw_only=True)
class AnnotationEvent:
    """One revision of an annotation, or its deletion, with the event that reported it."""

    action: str
    received_at: datetime
    revision: int
    """Row id."""

    cancelled: bool
    content: Correction | None
    """None for a deletion."""


class AnnotationStore(PrelabelRecords):
    """Append-only. Safe to share between threads; several processes may each have one."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, Writer(engine))
        self._retrying = threading.Lock()

    @property
    def problem(self) -> str | None:
        """Error code of the last write if it failed, so that the next one may fail too; else None."""
        return self._writer.problem

    def check(self) -> None:
        """Try whether writing works; `problem` says so. Never raises."""
        with suppress(StorageUnavailable):
            self._writer.run(probe_write)

    def retry(self) -> None:
        """After a failed write, try whether writing works again. Never raises; only one thread tries at a time."""
        if self.problem is None or not self._retrying.acquire(blocking=False):
            return
        try:
            self.check()
        finally:
            self._retrying.release()

    def close(self) -> None:
        """Refuse all further writes: they raise StorageUnavailable."""
        self._writer.close()

    def append(
        self,
        body: bytes,
        *,
        action: str,
        received_at: datetime,
        headers: Mapping[str, str] | None = None,
    ) -> Receipt:
        """Store an event; returns once it is flushed to the disk.

        Args:
            body: of the webhook, stored byte for byte; parts that cannot be parsed are not used.
            action: of the event, for example `ANNOTATION_CREATED`; an unknown one is stored too.
            received_at: with a time zone.
            headers: the HTTP headers to store; none may contain a secret.

        Raises:
            StorageUnavailable: the event was not stored, because the database is full, locked or gone.
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
        """Return the newest revision of each annotation of a project that is neither deleted nor cancelled.

        It depends on the stored events only, not on the order or the number of their arrivals.
        """
        with reading(self._engine) as connection:
            rows = [header.row for header in current_view(history(connection, project))]
            contents = _contents(connection, rows)
            automatic = automatic_revisions(connection, project, contents)
        return [replace(contents[row], automatic=row in automatic) for row in rows]

    def correction_headers(self, project: int) -> list[CorrectionHeader]:
        """Return the corrections of a project without their content, and without the automatic ones.

        The number of statements does not depend on the number of corrections.
        """
        with reading(self._engine) as connection:
            headers = correction_headers(connection, project)
            automatic = automatic_revisions(connection, project, {each.revision for each in headers})
        return [each for each in headers if each.revision not in automatic] if automatic else headers

    def contents(self, revisions: Sequence[int]) -> dict[int, Correction]:
        """Return corrections by row id."""
        with reading(self._engine) as connection:
            return _contents(connection, revisions)

    def image_sizes(self, project: int) -> dict[int, dict[str, Size]]:
        """Return the sizes of a project's images, by task and image key, as far as they are known."""
        with reading(self._engine) as connection:
            return image_sizes(connection, project)

    def history(self, annotation: int) -> list[AnnotationEvent]:
        """Return every revision of an annotation, deletions included, in order of arrival."""
        statement = (
            sa.select(revision, event.c.action, event.c.received_at)
            .join(event, revision.c.event == event.c.id)
            .where(revision.c.annotation == annotation)
            .order_by(revision.c.id)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
            sizes = _sizes(connection, [row for row in rows if row.kind == "annotation"])
        return [
            AnnotationEvent(
                action=row.action,
                received_at=row.received_at,
                revision=row.id,
                cancelled=row.cancelled,
                content=_correction(row, sizes) if row.kind == "annotation" else None,
            )
            for row in rows
        ]

    def corrections_since(self, project: int, moment: datetime | None = None) -> int:
        """Return the number of new corrections of a project, without automatic ones and those marked as unreadable.

        Args:
            moment: a correction received later is new. None: one that the project's newest dataset version could not
                contain is new; without a dataset version all are.
        """
        with reading(self._engine) as connection:
            return len(_new_corrections(connection, project, moment))

    def patients_since(self, project: int, moment: datetime | None = None) -> int:
        """Return the number of patients among the new corrections; a task without a patient counts as one.

        Args:
            moment: see `corrections_since`.
        """
        return self.new_corrections(project, moment).patients

    def new_corrections(self, project: int, moment: datetime | None = None) -> NewCorrections:
        """Count the new corrections and their patients.

        Args:
            moment: see `corrections_since`.
        """
        with reading(self._engine) as connection:
            new = _new_corrections(connection, project, moment)
            # One row of each task is enough, and its regions, most of the content, are not read.
            rows = list({header.task: header.row for header in new}.values())
            patients: set[str] = set()
            for start in range(0, len(rows), CHUNK):
                chosen = revision.c.id.in_(rows[start : start + CHUNK])
                for task, data in connection.execute(
                    sa.select(revision.c.task, revision.c.task_data).where(chosen)
                ):
                    patients.add(patient_or_task(task, loads(data)))
        return NewCorrections(corrections=len(new), patients=len(patients))

    def newest_dataset(self, project: int) -> DatasetFacts | None:
        """Return what is known of a project's newest dataset version; None without one."""
        columns = dataset_version.c
        statement = (
            sa.select(columns.name, columns.num_items, columns.num_held_out)
            .where(columns.project == project)
            .order_by(columns.last_event.desc(), columns.created_at.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else DatasetFacts(row.name, row.num_items, row.num_held_out)

    def revision_headers(self, project: int, *, tasks: Collection[int] | None = None) -> list[RevisionHeader]:
        """Return the newest revision of each annotation that is not deleted, without content; skipped ones included.

        Args:
            tasks: the tasks whose annotations are returned; None for all.
        """
        with reading(self._engine) as connection:
            return [
                header
                for header in existing_annotations(history(connection, project, tasks=tasks))
                if tasks is None or header.task in tasks
            ]

    def unreadable_tasks(self, project: int) -> dict[int, str]:
        """Return the tasks with an annotation that cannot be read, with its code; see `stated_sizes`."""
        newest = {header.row: header.task for header in self.revision_headers(project)}
        columns = revision.c
        marked = sa.select(columns.id, columns.problem).where(
            columns.project == project, columns.problem.is_not(None)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(marked).all()
        return {task: problem for row, problem in rows if (task := newest.get(row)) is not None}

    def projects(self) -> list[int]:
        """Return every project with an event or a prelabel, in ascending order."""
        with reading(self._engine) as connection:
            numbers = sa.union(sa.select(event.c.project), sa.select(prelabel.c.project))
            return sorted(number for number in connection.scalars(numbers) if number is not None)

    def last_event(self) -> int:
        """Return the row id of the newest event; 0 before the first."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(sa.func.max(event.c.id))) or 0


def _new_corrections(connection: Connection, project: int, moment: datetime | None) -> list[RevisionHeader]:
    """Return the new corrections, without those that cannot be read; see `corrections_since`."""
    after: sa.ColumnElement[bool]
    if moment is not None:
        after = event.c.received_at > moment
    else:
        newest = sa.select(sa.func.max(dataset_version.c.last_event))
        after = event.c.id > (connection.scalar(newest.where(dataset_version.c.project == project)) or 0)
    rows = sa.select(revision.c.id).join(event, revision.c.event == event.c.id)
    readable = revision.c.problem.is_(None)
    new = set(connection.scalars(rows.where(after, revision.c.project == project, readable)))
    new -= automatic_revisions(connection, project, new)
    return [header for header in current_view(history(connection, project)) if header.row in new]


def _contents(connection: Connection, rows: Sequence[int]) -> dict[int, Correction]:
    contents: dict[int, Correction] = {}
    for start in range(0, len(rows), CHUNK):
        statement = sa.select(revision).where(revision.c.id.in_(rows[start : start + CHUNK]))
        found = connection.execute(statement).all()
        sizes = _sizes(connection, found)
        contents.update({row.id: _correction(row, sizes) for row in found})
    return contents


def _sizes(connection: Connection, rows: Sequence[Any]) -> dict[tuple[int, int], dict[str, Size]]:
    """Return the sizes of the images of the rows' tasks, by project and task."""
    tasks: dict[int, set[int]] = {}
    for row in rows:
        tasks.setdefault(row.project, set()).add(row.task)
    return {
        (project, task): sizes
        for project, numbers in tasks.items()
        for task, sizes in image_sizes(connection, project, sorted(numbers)).items()
    }


def _correction(row: Any, sizes: Mapping[tuple[int, int], Mapping[str, Size]]) -> Correction:
    return Correction(
        annotation_id=row.annotation,
        task_id=row.task,
        project_id=row.project,
        updated_at=row.updated_at,
        task_data=loads(row.task_data),
        result=loads(row.result),
        completed_by=row.completed_by,
        lead_time=row.lead_time,
        content_hash=row.content_hash,
        revision=row.id,
        prelabel_version=row.prelabel_version,
        sizes=sizes.get((row.project, row.task), {}),
    )
