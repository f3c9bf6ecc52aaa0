"""Reconcile the annotation store with Label Studio: its API is the truth, webhooks are only faster.

Label Studio sends each webhook once, waits one second for the answer, and does not repeat it. Imported annotations, and
those made while the backend was down, send none. What Label Studio shows and the store has missed is appended as an
event of its own (`RECONCILED`), and what has been deleted as a deletion, so the history stays complete and append-only.

The task list names each annotation with the time of its last change. Content is fetched only for tasks that differ, so
the cost grows with the changes. Every change of an annotation, deletions included, updates its task's `updated_at`, so
a reconciliation asks only for tasks changed since the last one. Deleted tasks are in no list: only a complete
reconciliation notices them, except those that a recent webhook reported: a late webhook may show one alive again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Protocol

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from mammo.annotations.events import RECONCILED, revisions_of
from mammo.annotations.store import AnnotationStore
from mammo.annotations.view import RevisionHeader
from mammo.database import event, reading, reconciliation, revision, writing
from mammo.errors import LabelStudioError
from mammo.lenient_json import canonical

log = structlog.get_logger()

OVERLAP = timedelta(minutes=10)
"""How far a reconciliation reaches back before the last one: a long transaction shows its changes late."""

COMPLETE_EVERY = timedelta(hours=24)
"""After this time a reconciliation is complete even if that was not requested."""

BATCH = 100
"""Tasks compared at a time."""

STORED_KEYS = (
    "id",
    "result",
    "was_cancelled",
    "ground_truth",
    "created_at",
    "updated_at",
    "lead_time",
    "parent_prediction",
)
"""Keys of an annotation that are stored: neither names of people nor values that change by themselves."""

NO_TASK = "label_studio_404"

Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


class AnnotationSource(Protocol):
    """What reconciliation needs of `mammo.labelstudio.LabelStudioClient`, which lies in a layer above this one."""

    def task_summaries(self, project: int, *, since: datetime | None = None) -> Iterable[dict[str, Any]]: ...

    def annotations(self, task: int) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """Result of one reconciliation of a project."""

    project: int
    complete: bool
    """Whether all tasks were compared, not only those changed since the last reconciliation."""

    tasks: int = 0
    """Tasks compared."""

    missing: int = 0
    """Annotations that were not in the store: their webhook was lost, or they were imported."""

    stale: int = 0
    """Annotations whose last change was not in the store."""

    deleted: int = 0
    """Annotations whose deletion was not in the store, those of deleted tasks included."""

    @property
    def repaired(self) -> int:
        """Number of annotations that the store had wrong."""
        return self.missing + self.stale + self.deleted


def reconcile(
    project: int,
    *,
    client: AnnotationSource,
    store: AnnotationStore,
    engine: Engine,
    complete: bool = False,
    clock: Clock = now,
) -> Reconciliation:
    """Make the store's view of a project equal to what Label Studio shows.

    Args:
        complete: Compare every task. Otherwise only those changed since the last reconciliation, unless the last
            complete one is older than `COMPLETE_EVERY`.

    Raises:
        LabelStudioError: Label Studio cannot be reached, refuses, or has no such project; completed repairs persist.
        StorageUnavailable: A repair was not stored.
    """
    started_at, last = clock(), _last_run(engine, project, complete=False)
    last_complete = _last_run(engine, project, complete=True)
    overdue = last_complete is None or started_at - last_complete.at > COMPLETE_EVERY
    watermark = last.watermark if last else None
    since = None if complete or overdue or watermark is None else watermark - OVERLAP
    comparison = _Comparison(project, client=client, store=store, clock=clock)
    listed: set[int] = set()
    for batch in _batches(client.task_summaries(project, since=since)):
        stored = _by_task(store.revision_headers(project, tasks=[task["id"] for task in batch]))
        for task in batch:
            comparison.compare(task, stored.get(task["id"], {}))
            listed.add(task["id"])
            watermark = max(filter(None, (watermark, _timestamp(task.get("updated_at")))), default=None)
    doubtful = (
        None if since is None or last is None else _deleted_tasks(engine, project, since=last.at - OVERLAP)
    )
    for task_id, headers in _by_task(store.revision_headers(project, tasks=doubtful)).items():
        if task_id not in listed:
            comparison.check_unlisted(task_id, headers)
    result = Reconciliation(project=project, complete=since is None, **comparison.counts)
    _record(engine, result, at=started_at, watermark=watermark)
    log.info("reconciled", seconds=round((clock() - started_at).total_seconds(), 1), **asdict(result))
    return result


@dataclass
class _Comparison:
    """Compares the tasks of a project with the store, and appends what the store has missed."""

    project: int
    client: AnnotationSource = field(kw_only=True)
    store: AnnotationStore = field(kw_only=True)
    clock: Clock = field(kw_only=True)
    counts: Counter[str] = field(default_factory=Counter)
    """Counts of `Reconciliation`."""

    def compare(self, task: Mapping[str, Any], stored: Mapping[int, RevisionHeader]) -> None:
        """Compare a listed task with the stored annotations by id; fetch its annotations only if they differ."""
        self.counts["tasks"] += 1
        listed = {each["id"]: _timestamp(each["updated_at"]) for each in task["annotations"]}
        if listed == {annotation: header.updated_at for annotation, header in stored.items()}:
            return
        seen_at = self.clock()
        annotations = self._annotations(task["id"])
        for annotation in annotations:
            header = stored.get(annotation["id"])
            body = self._reconciled_body(task, annotation, seen_at=seen_at)
            for reported in revisions_of(RECONCILED, body):
                if header is None or (
                    reported.updated_at and header.updated_at and reported.updated_at > header.updated_at
                ):
                    self._append(body, at=seen_at)
                    self.counts["missing" if header is None else "stale"] += 1
        deleted = sorted(stored.keys() - {annotation["id"] for annotation in annotations})
        if deleted:
            body = self._body("ANNOTATIONS_DELETED", annotations=[{"id": each} for each in deleted])
            self._append(body, at=_deletion_time(seen_at, (stored[each] for each in deleted)))
            self.counts["deleted"] += len(deleted)

    def check_unlisted(self, task: int, stored: Mapping[int, RevisionHeader]) -> None:
        """Ask for a task that was not listed: it was deleted, or created after the list was read."""
        seen_at = self.clock()
        try:
            self.client.annotations(task)
        except LabelStudioError as error:
            if error.code != NO_TASK:
                raise
            body = self._body("TASKS_DELETED", tasks=[{"id": task}])
            self._append(body, at=_deletion_time(seen_at, stored.values()))
            self.counts["deleted"] += len(stored)

    def _annotations(self, task: int) -> list[dict[str, Any]]:
        try:
            return self.client.annotations(task)
        except LabelStudioError as error:
            if error.code == NO_TASK:  # deleted since it was listed
                return []
            raise

    def _body(self, action: str, **content: Any) -> dict[str, Any]:
        return {"action": action, "project": {"id": self.project}, **content}

    def _reconciled_body(
        self, task: Mapping[str, Any], annotation: Mapping[str, Any], *, seen_at: datetime
    ) -> dict[str, Any]:
        stored = {key: annotation.get(key) for key in STORED_KEYS}
        stored |= {"task": task["id"], "completed_by": _user_id(annotation.get("completed_by"))}
        return self._body(
            RECONCILED,
            task={"id": task["id"], "data": task["data"]},
            annotation=stored,
            seen_at=seen_at.isoformat(),
        )

    def _append(self, body: Mapping[str, Any], *, at: datetime) -> None:
        """Append an event with the time just before Label Studio was asked: changes made meanwhile count as later."""
        self.store.append(canonical(body), action=body["action"], received_at=at)


def _by_task(headers: Iterable[RevisionHeader]) -> dict[int, dict[int, RevisionHeader]]:
    tasks: dict[int, dict[int, RevisionHeader]] = {}
    for header in headers:
        assert header.task is not None
        assert header.annotation is not None
        tasks.setdefault(header.task, {})[header.annotation] = header
    return tasks


def _user_id(completed_by: Any) -> Any:
    """Return the id of a user, whom the API describes in some places and names by id in others."""
    return completed_by.get("id") if isinstance(completed_by, dict) else completed_by


def _deletion_time(seen_at: datetime, deleted: Iterable[RevisionHeader]) -> datetime:
    """Return a time not before the annotations' own, in case our clock was set back."""
    return max([seen_at, *(header.received_at for header in deleted)])


def _batches(tasks: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(tasks)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _timestamp(text: Any) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None


@dataclass(frozen=True)
class _Run:
    at: datetime
    watermark: datetime | None
    """Newest `updated_at` of the tasks seen."""


def _last_run(engine: Engine, project: int, *, complete: bool) -> _Run | None:
    columns = reconciliation.c
    statement = sa.select(columns.at, columns.watermark).where(columns.project == project)
    if complete:
        statement = statement.where(columns.complete)
    with reading(engine) as connection:
        row = connection.execute(statement.order_by(columns.id.desc()).limit(1)).one_or_none()
    return None if row is None else _Run(row.at, row.watermark)


def _deleted_tasks(engine: Engine, project: int, *, since: datetime) -> set[int]:
    """Return the tasks whose deletion was received since a time.

    A save that is received after the deletion of its task, but was made before it, seems newer where the clocks' offset
    is overestimated (see `deletion_times`). Its task is in no list, so it is asked for.
    """
    statement = (
        sa.select(revision.c.task)
        .join(event, revision.c.event == event.c.id)
        .where(revision.c.project == project, revision.c.kind == "task_deleted", event.c.received_at >= since)
    )
    with reading(engine) as connection:
        return {task for task in connection.scalars(statement) if task is not None}


def _record(engine: Engine, result: Reconciliation, *, at: datetime, watermark: datetime | None) -> None:
    row = {"project": result.project, "at": at, "complete": result.complete, "watermark": watermark}
    with writing(engine) as connection:
        connection.execute(sa.insert(reconciliation).values(**row, report=orjson.dumps(asdict(result))))
