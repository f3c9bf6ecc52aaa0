"""The current view of a history of revisions: a pure function, so events may arrive late, twice or in any order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mammo.annotations.events import RevisionKind

NEVER = datetime.min.replace(tzinfo=UTC)


class RevisionHeader(NamedTuple):
    """A revision without its content: all that the view depends on. A tuple, because there are many."""

    row: int
    """Row id; it does not influence the view."""

    kind: RevisionKind
    annotation: int | None
    task: int | None
    updated_at: datetime | None
    cancelled: bool
    content_hash: str
    prelabel_version: str | None
    seen_at: datetime
    """Annotation: a time at which it existed. Deletion: the time at which it was received."""


def current_view(history: Iterable[RevisionHeader]) -> list[RevisionHeader]:
    """Return the newest revision of each annotation that is neither deleted nor cancelled, by task and annotation."""
    return [header for header in existing_annotations(history) if not header.cancelled]


def existing_annotations(history: Iterable[RevisionHeader]) -> list[RevisionHeader]:
    """Return the newest revision of each annotation that is not deleted, skipped ones included, by task and annotation.

    A deletion removes what existed before it. It is not final: on SQLite, Label Studio's import numbers tasks and
    annotations from the highest remaining id, so the id of a deleted one may be reused. Two different revisions with
    the same `updated_at` (Label Studio sends none) are ordered by their content, not by arrival.
    """
    newest: dict[int, RevisionHeader] = {}
    last_seen: dict[int, datetime] = {}
    deleted_annotations: dict[int | None, datetime] = {}
    deleted_tasks: dict[int | None, datetime] = {}
    for header in history:
        if header.kind == "annotation_deleted":
            _keep_latest(deleted_annotations, header.annotation, header.seen_at)
        elif header.kind == "task_deleted":
            _keep_latest(deleted_tasks, header.task, header.seen_at)
        elif header.annotation is not None:
            _keep_latest(last_seen, header.annotation, header.seen_at)
            best = newest.get(header.annotation)
            if best is None or _age(header) > _age(best):
                newest[header.annotation] = header
    existing = (
        header
        for annotation, header in newest.items()
        if last_seen[annotation]
        > max(deleted_annotations.get(annotation, NEVER), deleted_tasks.get(header.task, NEVER))
    )
    return sorted(existing, key=lambda header: (header.task or 0, header.annotation or 0))


def _keep_latest(times: dict[Any, datetime], key: int | None, time: datetime) -> None:
    times[key] = max(times.get(key, NEVER), time)


def _age(header: RevisionHeader) -> tuple[datetime, str, str]:
    assert header.updated_at is not None
    return header.updated_at, header.content_hash, header.prelabel_version or ""
