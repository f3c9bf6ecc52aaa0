"""Parse the body of a webhook into the revisions of annotations that it reports.

Shapes of Label Studio 1.23:

    ANNOTATION_CREATED, ANNOTATION_UPDATED    annotation {}, task {}, project {}
    ANNOTATIONS_CREATED                       annotation [], task [], project {}   (lists under singular names)
    ANNOTATIONS_DELETED                       annotations [{id}], project {}       (no task)
    TASKS_DELETED                             tasks [{id}], project {}
    anything else                             no revision; the event is stored all the same

A malformed part of a body gives no revision and raises no error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mammo.lenient_json import canonical, loads

RevisionKind = Literal["annotation", "annotation_deleted", "task_deleted"]

RECONCILED = "RECONCILED"
"""This service's own action, shaped like ANNOTATION_UPDATED: reconciliation found an annotation without a webhook."""

ANNOTATION_ACTIONS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", RECONCILED}
)
MAX_ID = 2**63 - 1
MAX_VERSION = 64
"""Longest stored model version, in characters."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One annotation as an event reports it, or the deletion of an annotation or a task."""

    kind: RevisionKind
    project: int | None
    annotation: int | None = None
    task: int | None = None
    updated_at: datetime | None = None
    """Label Studio's time of the last change, UTC. Of a deletion it sends none; see `deletion_times`."""

    cancelled: bool = False
    """The annotator skipped the task."""

    content_hash: str = ""
    """SHA-256 of project, ids, skip flag, author, lead time, result and task data; empty for deletions."""

    result: list[dict[str, Any]] | None = None
    task_data: dict[str, Any] | None = None
    completed_by: int | None = None
    lead_time: float | None = None
    """Time the annotator spent, in seconds."""

    prelabel_version: str | None = None
    """Model version of the prediction that the annotator started from; None if Label Studio does not report it."""


def parse(body: bytes) -> dict[str, Any]:
    """Parse a body; returns an empty object if it is no JSON object."""
    try:
        parsed = loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def project_of(body: Mapping[str, Any]) -> int | None:
    """Return the project id of an event; None if it states none."""
    project = body.get("project")
    return _id(project.get("id")) if isinstance(project, dict) else _id(project)


def revisions_of(action: str, body: Mapping[str, Any]) -> list[Revision]:
    """Return the revisions that an event reports, in the order of its body; none for an action that is not handled."""
    project = project_of(body)
    if action in ANNOTATION_ACTIONS:
        pairs = _with_tasks(body.get("annotation"), body.get("task"))
        return [each for pair in pairs if (each := _annotation_revision(*pair, project=project))]
    if action == "ANNOTATIONS_DELETED":
        return [
            Revision(kind="annotation_deleted", project=project, annotation=deleted)
            for deleted in _ids(body.get("annotations"))
        ]
    if action == "TASKS_DELETED":
        return [
            Revision(kind="task_deleted", project=project, task=deleted)
            for deleted in _ids(body.get("tasks"))
        ]
    return []


def _with_tasks(annotations: Any, tasks: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each annotation with its task, matched by task id (the list of tasks may repeat a task)."""
    listed = tasks if isinstance(tasks, list) else [tasks]
    by_id = {task.get("id"): task for task in listed if isinstance(task, dict) and _id(task.get("id"))}
    for annotation in annotations if isinstance(annotations, list) else [annotations]:
        if isinstance(annotation, dict):
            task = by_id.get(_id(annotation.get("task")))
            if task is not None:
                yield annotation, task


def _annotation_revision(
    annotation: dict[str, Any], task: dict[str, Any], *, project: int | None
) -> Revision | None:
    annotation_id, updated_at = _id(annotation.get("id")), _timestamp(annotation.get("updated_at"))
    result, data = annotation.get("result"), task.get("data")
    if (
        annotation_id is None
        or updated_at is None
        or not isinstance(data, dict)
        or not isinstance(result, list)
    ):
        return None
    if not all(isinstance(region, dict) for region in result):
        return None
    project = project if project is not None else _id(annotation.get("project"))
    cancelled = annotation.get("was_cancelled") is True
    completed_by, lead_time = _id(annotation.get("completed_by")), _seconds(annotation.get("lead_time"))
    content = [project, annotation_id, task["id"], cancelled, completed_by, lead_time, result, data]
    try:
        content_hash = hashlib.sha256(canonical(content)).hexdigest()
    except ValueError:  # nested too deeply to be a region
        return None
    return Revision(
        kind="annotation",
        project=project,
        annotation=annotation_id,
        task=task["id"],
        updated_at=updated_at,
        cancelled=cancelled,
        content_hash=content_hash,
        result=result,
        task_data=data,
        completed_by=completed_by,
        lead_time=lead_time,
        prelabel_version=_prelabel_version(annotation.get("prediction")),
    )


def _ids(items: Any) -> list[int]:
    if not isinstance(items, list):
        return []
    ids = (_id(item.get("id") if isinstance(item, dict) else item) for item in items)
    return [each for each in ids if each is not None]


def _id(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= MAX_ID else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None


def _timestamp(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        timestamp = datetime.fromisoformat(value)
        return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _prelabel_version(prediction: Any) -> str | None:
    version = prediction.get("model_version") if isinstance(prediction, dict) else None
    return version[:MAX_VERSION] if isinstance(version, str) and version else None
