"""Reconcile the annotation store with Label Studio: its API is the truth, webhooks are only fast.

Label Studio sends a webhook once, waits a second, and forgets it; imported annotations and those made while the
backend was down send none. What Label Studio shows and the store does not know is appended as an event of its own
(`RECONCILED`), what is gone as a deletion, so the history stays complete and append-only.

The list of tasks names each annotation with the moment of its last change; content is fetched only for tasks that
differ, so the cost follows the changes. Every change of an annotation, a deletion too, touches its task's
`updated_at`: the next look asks only for tasks changed since the last one. Deleted tasks are in no list; only a
complete look misses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Protocol

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from mammo.annotations.events import RECONCILED, canonical, revisions_of
from mammo.annotations.store import AnnotationStore
from mammo.annotations.view import Heading
from mammo.database import reading, reconciliation, writing
from mammo.errors import LabelStudioError

log = structlog.get_logger()

OVERLAP = timedelta(minutes=10)
"""How far a look reaches back behind the one before: a long transaction shows its changes late."""

COMPLETE_EVERY = timedelta(hours=24)
"""At least this often a look is complete, whatever was asked for."""

BATCH = 100
"""Tasks compared at a time."""

KEPT = (
    "id",
    "result",
    "was_cancelled",
    "ground_truth",
    "created_at",
    "updated_at",
    "lead_time",
    "parent_prediction",
)
"""What is kept of an annotation: what does not change by itself, and no names."""

NO_TASK = "label_studio_404"


Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


class LabelStudio(Protocol):
    """The part of `mammo.labelstudio.LabelStudioClient` that is needed."""

    def task_summaries(self, project: int, *, since: datetime | None = None) -> Iterable[dict[str, Any]]: ...

    def annotations(self, task: int) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """What one look at a project found."""

    project: int
    complete: bool
    """All tasks were looked at, not only those changed since the last look."""

    tasks: int = 0
    """Tasks looked at."""

    missing: int = 0
    """Annotations the store did not know: their webhook was lost, or they were imported."""

    stale: int = 0
    """Annotations whose newest change was not known."""

    deleted: int = 0
    """Annotations that are gone without our having been told, those of deleted tasks included."""

    @property
    def repaired(self) -> int:
        """How many annotations the store had wrong."""
        return self.missing + self.stale + self.deleted


def reconcile(
    project: int,
    *,
    client: LabelStudio,
    store: AnnotationStore,
    engine: Engine,
    complete: bool = False,
    clock: Clock = now,
) -> Reconciliation:
    """Make the store's view of a project equal to what Label Studio shows.

    Args:
        complete: look at every task; else only at those changed since the last look, unless that was long ago.

    Raises:
        LabelStudioError: Label Studio is gone, refuses, or has no such project; what was repaired stays repaired.
        StorageUnavailable: a repair could not be kept.
    """
    began, last = clock(), _last(engine, project, complete=False)
    whole = _last(engine, project, complete=True)
    complete = complete or last is None or whole is None or began - whole.at > COMPLETE_EVERY
    since = None if complete or last is None or last.watermark is None else last.watermark - OVERLAP
    found = Reconciliation(project=project, complete=since is None)
    watermark = last.watermark if last else None
    listed: set[int] = set()
    for batch in _batches(client.task_summaries(project, since=since)):
        known = _by_task(store.outline(project, tasks=[task["id"] for task in batch]))
        for task in batch:
            found = _compare(task, known.get(task["id"], {}), found, client=client, store=store, clock=clock)
            listed.add(task["id"])
            watermark = max(filter(None, (watermark, _moment(task.get("updated_at")))), default=None)
    if found.complete:
        for number, unlisted in _by_task(store.outline(project)).items():
            if number not in listed:
                found = _unlisted(number, unlisted, found, client=client, store=store, clock=clock)
    _record(engine, found, at=began, watermark=watermark)
    log.info("reconciled", seconds=round((clock() - began).total_seconds(), 1), **asdict(found))
    return found


def _compare(
    task: Mapping[str, Any],
    known: Mapping[int, Heading],
    found: Reconciliation,
    *,
    client: LabelStudio,
    store: AnnotationStore,
    clock: Clock,
) -> Reconciliation:
    """One task as it is listed against what is known of it; fetches its annotations only if they differ."""
    found = replace(found, tasks=found.tasks + 1)
    shown = {each["id"]: _moment(each["updated_at"]) for each in task["annotations"]}
    if shown == {number: heading.updated_at for number, heading in known.items()}:
        return found
    seen_at = clock()
    there = _there(task["id"], client)
    for annotation in there:
        body = _event(found.project, task, annotation, seen_at=seen_at)
        for told in revisions_of(RECONCILED, body):
            heading = known.get(annotation["id"])
            if heading is None or (
                told.updated_at and heading.updated_at and told.updated_at > heading.updated_at
            ):
                _append(store, RECONCILED, body, at=seen_at)
                new = "missing" if heading is None else "stale"
                found = replace(found, **{new: getattr(found, new) + 1})
    gone = sorted(known.keys() - {annotation["id"] for annotation in there})
    if gone:
        action = "ANNOTATIONS_DELETED"
        body = {**_head(action, found.project), "annotations": [{"id": each} for each in gone]}
        _append(store, action, body, at=_after(seen_at, (known[each] for each in gone)))
    return replace(found, deleted=found.deleted + len(gone))


def _unlisted(
    number: int,
    known: Mapping[int, Heading],
    found: Reconciliation,
    *,
    client: LabelStudio,
    store: AnnotationStore,
    clock: Clock,
) -> Reconciliation:
    """A task that is in no list: gone, or made after the list was read. Asked for by itself before it is believed."""
    seen_at = clock()
    try:
        client.annotations(number)
    except LabelStudioError as error:
        if error.code != NO_TASK:
            raise
        action = "TASKS_DELETED"
        body = {**_head(action, found.project), "tasks": [{"id": number}]}
        _append(store, action, body, at=_after(seen_at, known.values()))
        return replace(found, deleted=found.deleted + len(known))
    return found


def _there(task: int, client: LabelStudio) -> list[dict[str, Any]]:
    try:
        return client.annotations(task)
    except LabelStudioError as error:
        if error.code == NO_TASK:  # deleted since it was listed
            return []
        raise


def _by_task(headings: Iterable[Heading]) -> dict[int, dict[int, Heading]]:
    tasks: dict[int, dict[int, Heading]] = {}
    for heading in headings:
        assert heading.task is not None
        assert heading.annotation is not None
        tasks.setdefault(heading.task, {})[heading.annotation] = heading
    return tasks


def _head(action: str, project: int) -> dict[str, Any]:
    return {"action": action, "project": {"id": project}}


def _event(
    project: int, task: Mapping[str, Any], annotation: Mapping[str, Any], *, seen_at: datetime
) -> dict[str, Any]:
    shown = {key: annotation.get(key) for key in KEPT}
    shown |= {"task": task["id"], "completed_by": _user(annotation.get("completed_by"))}
    return {
        **_head(RECONCILED, project),
        "task": {"id": task["id"], "data": task["data"]},
        "annotation": shown,
        "seen_at": seen_at.isoformat(),
    }


def _user(completed_by: Any) -> Any:
    """The API describes a user in some places and names it by its id in others."""
    return completed_by.get("id") if isinstance(completed_by, dict) else completed_by


def _append(store: AnnotationStore, action: str, body: Mapping[str, Any], *, at: datetime) -> None:
    """Keep what was seen under the moment just before we looked: what happens meanwhile counts as later."""
    store.append(canonical(body), action=action, received_at=at)


def _after(seen_at: datetime, gone: Iterable[Heading]) -> datetime:
    """The moment of a deletion: not before the annotation's own, where Label Studio's clock runs ahead of ours."""
    return max([seen_at, *(heading.moment for heading in gone)])


def _batches(tasks: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(tasks)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None


@dataclass(frozen=True)
class _Look:
    at: datetime
    watermark: datetime | None


def _last(engine: Engine, project: int, *, complete: bool) -> _Look | None:
    columns = reconciliation.c
    statement = sa.select(columns.at, columns.watermark).where(columns.project == project)
    if complete:
        statement = statement.where(columns.complete)
    with reading(engine) as connection:
        row = connection.execute(statement.order_by(columns.id.desc()).limit(1)).one_or_none()
    return None if row is None else _Look(row.at, row.watermark)


def _record(engine: Engine, found: Reconciliation, *, at: datetime, watermark: datetime | None) -> None:
    row = {"project": found.project, "at": at, "complete": found.complete, "watermark": watermark}
    with writing(engine) as connection:
        connection.execute(sa.insert(reconciliation).values(**row, report=orjson.dumps(asdict(found))))
