"""`/webhook`: what annotators did. Answered 2xx only when it is on the disk: Label Studio sends
it once, and waits for a second.

Retraining is asked for after that, and nothing about it can take the 2xx back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.background import BackgroundTask

from backend.answers import Json
from backend.auth import require_webhook
from backend.dependencies import ServicesDep
from backend.schemas import json_body, read_json
from backend.services import Services
from mammo.annotations import AnnotationStore, Receipt
from mammo.errors import MammoError
from mammo.labelstudio.client import WEBHOOK_ACTIONS

START_TRAINING = "START_TRAINING"
TASKS_CREATED = "TASKS_CREATED"
ANNOTATION_CREATED = "ANNOTATION_CREATED"

ANNOTATED = frozenset({ANNOTATION_CREATED, "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})
"""Events that may bring a project to the number of corrections that starts a retrain."""

KEPT_HEADERS = ("content-type", "content-length", "user-agent", "date", "x-request-id")
"""Headers that say what was sent and by what; none that holds a secret or names a person."""

MAX_HEADER = 200
"""Characters that are kept of a header."""

QUEUE_SECONDS = 3.0
"""How long START_TRAINING waits for the queue: an annotator's save may be waiting for us."""

log = structlog.get_logger()

EVENT = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "minLength": 1, "maxLength": 100},
        "project": {"type": "object"},
        "annotation": {},
        "task": {},
        "tasks": {"type": "array"},
    },
    "required": ["action"],
}

router = APIRouter(dependencies=[Depends(require_webhook)])


@router.post("/webhook", status_code=201, openapi_extra=json_body(EVENT))
async def webhook(request: Request, services: ServicesDep) -> Json:
    """Keep an event, then act on it.

    Answers 400 for what is no event, 503 when it could not be kept.
    """
    body = await request.body()
    headers = {name: request.headers[name][:MAX_HEADER] for name in KEPT_HEADERS if name in request.headers}
    keep = partial(_keep, body, services.store, received_at=datetime.now(UTC), headers=headers)
    action, receipt = await anyio.to_thread.run_sync(keep, limiter=request.app.state.event_places)
    known = action if action in (*WEBHOOK_ACTIONS, START_TRAINING) else "other"
    services.metrics.webhooks.labels(action=known, duplicate=str(receipt.duplicate).lower()).inc()
    log.info(
        "event kept",
        action=known,
        event_id=receipt.event,
        project=receipt.project,
        duplicate=receipt.duplicate,
        revisions=receipt.num_revisions,
    )
    answer: dict[str, Any] = {"status": "ok", "event": receipt.event, "duplicate": receipt.duplicate}
    after = None
    if not receipt.duplicate and services.settings.prefetch_tasks:
        if action == TASKS_CREATED:
            request.app.state.prefetch.created(receipt.event, body)
        elif action == ANNOTATION_CREATED and receipt.project:
            request.app.state.prefetch.annotated(receipt.project, body)
    if action == START_TRAINING:
        answer |= await _start_training(receipt.project, services)
    elif action in ANNOTATED and not receipt.duplicate and services.settings.train_after and receipt.project:
        after = BackgroundTask(_train_if_due, receipt.project, services)
    return Json(answer, 201, background=after)


def _keep(
    body: bytes, store: AnnotationStore, *, received_at: datetime, headers: Mapping[str, str]
) -> tuple[str, Receipt]:
    action = _action_of(body)
    return action, store.append(body, action=action, received_at=received_at, headers=headers)


def _action_of(body: bytes) -> str:
    action = read_json(body).get("action")
    if not isinstance(action, str) or not 0 < len(action) <= 100 or "\0" in action:
        raise HTTPException(400, "an event names its action")
    return action


async def _start_training(project: int | None, services: Services) -> dict[str, Any]:
    """Ask for a retrain and say how that went; Label Studio keeps the `job`."""
    if project is None:
        return {"training": {"queued": False, "reason": "the event names no project"}}
    ask = partial(_ask, project, services)
    with anyio.move_on_after(QUEUE_SECONDS):
        return await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
    log.warning("a retrain was asked for, and the answer is late", project=project, code="queue_timeout")
    return {"training": {"queued": False, "reason": "the job queue does not answer in time"}}


def _ask(project: int, services: Services) -> dict[str, Any]:
    try:
        started = services.training.ask(project, reason="START_TRAINING", trigger="button")
    except MammoError as error:
        log.warning("a retrain could not be asked for", project=project, code=error.code)
        return {"training": {"queued": False, "reason": str(error)}}
    told: dict[str, Any] = {"queued": True, "created": started.created}
    if started.problem:
        told["waits"] = started.problem
    return {"job": started.run, "training": told}


def _train_if_due(project: int, services: Services) -> None:
    """Ask for a retrain when enough corrections have come since the last dataset version."""
    try:
        services.training.by_corrections(project)
    except MammoError as error:
        log.warning("a retrain could not be asked for", project=project, code=error.code)
