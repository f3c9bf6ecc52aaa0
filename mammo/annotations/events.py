"""From the body of a webhook to the revisions it implies.

Shapes as Label Studio 1.23 sends them:

    ANNOTATION_CREATED, ANNOTATION_UPDATED    annotation {}, task {}, project {}
    ANNOTATIONS_CREATED                       annotation [], task [], project {}   (lists under singular names)
    ANNOTATIONS_DELETED                       annotations [{id}], project {}       (no task)
    TASKS_DELETED                             tasks [{id}], project {}
    anything else                             no revision; the event is kept all the same

Bodies come from outside: a part that cannot be understood gives no revision, and never an exception.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

Kind = Literal["annotation", "annotation_deleted", "task_deleted"]

RECONCILED = "RECONCILED"
"""Our own action, in the shape of ANNOTATION_UPDATED: an annotation that no webhook told of."""

WRITTEN = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", RECONCILED})
MAX_ID = 2**63 - 1
MAX_VERSION = 64


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What one event says about one annotation, or that an annotation or a task is gone."""

    kind: Kind
    project: int | None
    annotation: int | None = None
    task: int | None = None
    updated_at: datetime | None = None
    """Label Studio's moment of the last change, UTC; None for deletions."""

    cancelled: bool = False
    """The annotator skipped the task."""

    content_hash: str = ""
    """SHA-256 over everything a correction is made of; empty for deletions."""

    result: list[dict[str, Any]] | None = None
    task_data: dict[str, Any] | None = None
    completed_by: int | None = None
    lead_time: float | None = None
    """Seconds the annotator spent."""

    prelabel_version: str | None = None
    """Model version of the prediction that the annotator started from, when Label Studio tells."""


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8; arrays of numbers as lists."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def parse(body: bytes) -> dict[str, Any]:
    """The body as an object; empty when it is none."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def project_of(body: Mapping[str, Any]) -> int | None:
    """The project an event belongs to; None when it does not say."""
    project = body.get("project")
    return _id(project.get("id")) if isinstance(project, dict) else _id(project)


def revisions_of(action: str, body: Mapping[str, Any]) -> list[Revision]:
    """The revisions that an event implies, in the order of its body; none for an action we do not train from."""
    project = project_of(body)
    if action in WRITTEN:
        pairs = _pairs(body.get("annotation"), body.get("task"))
        return [found for pair in pairs if (found := _written(*pair, project=project))]
    if action == "ANNOTATIONS_DELETED":
        return [
            Revision(kind="annotation_deleted", project=project, annotation=gone)
            for gone in _ids(body.get("annotations"))
        ]
    if action == "TASKS_DELETED":
        return [Revision(kind="task_deleted", project=project, task=gone) for gone in _ids(body.get("tasks"))]
    return []


def _pairs(annotations: Any, tasks: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each annotation with its task, matched by the task's id (a list may name one task several times)."""
    listed = tasks if isinstance(tasks, list) else [tasks]
    by_id = {task.get("id"): task for task in listed if isinstance(task, dict) and _id(task.get("id"))}
    for annotation in annotations if isinstance(annotations, list) else [annotations]:
        if isinstance(annotation, dict):
            task = by_id.get(_id(annotation.get("task")))
            if task is not None:
                yield annotation, task


def _written(annotation: dict[str, Any], task: dict[str, Any], *, project: int | None) -> Revision | None:
    number, moment = _id(annotation.get("id")), _moment(annotation.get("updated_at"))
    result, data = annotation.get("result"), task.get("data")
    if number is None or moment is None or not isinstance(data, dict) or not isinstance(result, list):
        return None
    if not all(isinstance(region, dict) for region in result):
        return None
    project = project if project is not None else _id(annotation.get("project"))
    cancelled = annotation.get("was_cancelled") is True
    completed_by, lead_time = _id(annotation.get("completed_by")), _seconds(annotation.get("lead_time"))
    content = [project, number, task["id"], cancelled, completed_by, lead_time, result, data]
    try:
        content_hash = hashlib.sha256(canonical(content)).hexdigest()
    except orjson.JSONEncodeError:  # nested deeper than any region is
        return None
    return Revision(
        kind="annotation",
        project=project,
        annotation=number,
        task=task["id"],
        updated_at=moment,
        cancelled=cancelled,
        content_hash=content_hash,
        result=result,
        task_data=data,
        completed_by=completed_by,
        lead_time=lead_time,
        prelabel_version=_shown_version(annotation.get("prediction")),
    )


def _ids(items: Any) -> list[int]:
    if not isinstance(items, list):
        return []
    found = (_id(item.get("id") if isinstance(item, dict) else item) for item in items)
    return [number for number in found if number is not None]


def _id(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= MAX_ID else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _shown_version(prediction: Any) -> str | None:
    version = prediction.get("model_version") if isinstance(prediction, dict) else None
    return version[:MAX_VERSION] if isinstance(version, str) and version else None
