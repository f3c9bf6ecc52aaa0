"""Reconcile the annotation store with Label Studio before a training run.

Label Studio sends a webhook once, waits a second, and forgets it; imported annotations and those made while the
backend was down send none. What Label Studio shows and the store does not know is appended as an event of its own
(`RECONCILED`), so the history stays complete and append-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import structlog

from mammo.annotations import RECONCILED, AnnotationStore, revisions_of

log = structlog.get_logger()


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


class LabelStudio(Protocol):
    def tasks(self, project: int, *, all_fields: bool = False) -> Iterable[dict[str, Any]]: ...

    def annotations(self, task: int) -> list[dict[str, Any]]: ...


def reconcile(project: int, *, client: LabelStudio, store: AnnotationStore) -> int:
    """Append what the store has missed of a project; returns how many events that were.

    Raises:
        LabelStudioError: Label Studio is gone or refuses; what was appended stays.
        StorageUnavailable: an event could not be kept.
    """
    known = {each.annotation_id: each for each in store.corrections(project)}
    of_task: dict[int, set[int]] = {}
    for correction in known.values():
        of_task.setdefault(correction.task_id, set()).add(correction.annotation_id)
    missed = 0
    for task in client.tasks(project, all_fields=True):
        shown = [each for each in task.get("annotations") or [] if isinstance(each, dict)]
        for annotation in shown:
            body = _event(project, task, annotation)
            if any(_is_news(told, known) for told in revisions_of(RECONCILED, body)):
                missed += _append(store, RECONCILED, body)
        unseen = of_task.pop(task["id"], set()) - {each.get("id") for each in shown}
        if unseen:  # a deletion is final: ask again, by the endpoint that leaves nothing out
            missed += _delete(
                project, unseen - {each["id"] for each in client.annotations(task["id"])}, store
            )
    log.info("reconciled", project=project, missed=missed)
    return missed


def _is_news(told: Any, known: Mapping[int, Any]) -> bool:
    correction = known.get(told.annotation)
    if correction is None:
        return not told.cancelled
    return bool(told.updated_at > correction.updated_at)


def _event(project: int, task: Mapping[str, Any], annotation: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: annotation.get(key) for key in KEPT}
    shown |= {"task": task["id"], "completed_by": _user(annotation.get("completed_by"))}
    return {
        "action": RECONCILED,
        "project": {"id": project},
        "task": {"id": task["id"], "data": task["data"]},
        "annotation": shown,
    }


def _user(completed_by: Any) -> Any:
    """The API describes a user in some places and names it by its id in others."""
    return completed_by.get("id") if isinstance(completed_by, dict) else completed_by


def _delete(project: int, gone: set[int], store: AnnotationStore) -> int:
    if not gone:
        return 0
    body = {"project": {"id": project}, "annotations": [{"id": number} for number in sorted(gone)]}
    return _append(store, "ANNOTATIONS_DELETED", {"action": "ANNOTATIONS_DELETED", **body})


def _append(store: AnnotationStore, action: str, body: Mapping[str, Any]) -> int:
    content = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return int(not store.append(content, action=action, received_at=datetime.now(UTC)).duplicate)
