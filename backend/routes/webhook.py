"""`/webhook`: Label Studio's events (step 7 of the walk).

An event is sent only once, so the response is 2xx only after the event is durable.

Label Studio waits for one second. A retrain is requested afterwards, and its failure does not change the response.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import structlog
from fastapi import APIRouter, HTTPException, Request
from starlette.background import BackgroundTasks

from backend.answers import Json
from backend.dependencies import ServicesDep
from backend.requested_runs import start_by_button
from backend.schemas import json_body, read_json
from backend.services import Services
from mammo.annotations import AnnotationStore, Receipt
from mammo.errors import MammoError
from mammo.labelstudio.client import WEBHOOK_ACTIONS
from mammo.lenient_json import loads

START_TRAINING = "START_TRAINING"
TASKS_CREATED = "TASKS_CREATED"
ANNOTATION_CREATED = "ANNOTATION_CREATED"

ANNOTATED = frozenset({ANNOTATION_CREATED, "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})
"""Events that may bring a project to the number of corrections that starts a retrain."""

ANSWERS = ANNOTATED | {"ANNOTATIONS_DELETED"}
"""Events that may answer a second look."""

STORED_HEADERS = ("content-type", "content-length", "user-agent", "date", "x-request-id")
"""Headers that describe content and sender. None contains a secret or names a person."""

MAX_HEADER = 200
"""Characters of a header that are stored."""

REQUEST_SECONDS, LOOKUP_SECONDS = 1.2, 0.5
"""Seconds that START_TRAINING waits for its request, and then for a look at whether the run is recorded: an annotator's
save may be waiting."""

UNKNOWN = (
    "not known yet: the corrections are still being counted, or the database is slow; `yolo-mlsam runs list` shows "
    "whether the run is recorded"
)
SLOW = "the job queue is slow; the run is recorded, and the backend enqueues it if the queue has not taken it"

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

router = APIRouter()


@router.post("/webhook", status_code=201, openapi_extra=json_body(EVENT))
async def webhook(request: Request, services: ServicesDep) -> Json:
    """Store an event, then act on it.

    400: not an event. 503: it could not be stored.
    """
    body = await request.body()
    headers = {name: request.headers[name][:MAX_HEADER] for name in STORED_HEADERS if name in request.headers}
    store = partial(_store, body, services.store, received_at=datetime.now(UTC), headers=headers)
    action, receipt = await anyio.to_thread.run_sync(store, limiter=request.app.state.event_limiter)
    label = action if action in (*WEBHOOK_ACTIONS, START_TRAINING) else "other"
    services.metrics.webhooks.labels(action=label, duplicate=str(receipt.duplicate).lower()).inc()
    log.info(
        "event stored",
        action=label,
        event_id=receipt.event,
        project=receipt.project,
        duplicate=receipt.duplicate,
        revisions=receipt.num_revisions,
    )
    answer: dict[str, Any] = {"status": "ok", "event": receipt.event, "duplicate": receipt.duplicate}
    if receipt.problems:
        answer["unreadable"] = _unreadable(receipt, services)
    after = BackgroundTasks()
    if not receipt.duplicate and services.settings.prefetch_tasks:
        if action == TASKS_CREATED:
            request.app.state.prefetch.created(receipt.event, body)
        elif action == ANNOTATION_CREATED and receipt.project:
            request.app.state.prefetch.annotated(receipt.project, body)
    if action == START_TRAINING:
        answer |= await _start_training(receipt.project, services)
    elif action in ANSWERS and not receipt.duplicate and receipt.project:
        after.add_task(_settle_second_looks, receipt.project, services)
        if action in ANNOTATED and services.triggers.counts_corrections:
            after.add_task(_train_if_due, receipt.project, services)
    return Json(answer, 201, background=after)


def _unreadable(receipt: Receipt, services: Services) -> list[dict[str, Any]]:
    """Count and log annotations that are stored, but that nobody will read; return them for the answer."""
    for annotation, code in receipt.problems.items():
        services.metrics.unreadable.labels(code=code).inc()
        log.warning("an annotation cannot be read", annotation=annotation, project=receipt.project, code=code)
    return [{"annotation": annotation, "code": code} for annotation, code in receipt.problems.items()]


def _store(
    body: bytes, store: AnnotationStore, *, received_at: datetime, headers: Mapping[str, str]
) -> tuple[str, Receipt]:
    action = _action_of(body)
    return action, store.append(body, action=action, received_at=received_at, headers=headers)


def _action_of(body: bytes) -> str:
    action = read_json(body, loads=loads).get("action")
    if not isinstance(action, str) or not 0 < len(action) <= 100 or "\0" in action:
        raise HTTPException(400, "the event has no valid action; it must be a string of 1 to 100 characters")
    return action


async def _start_training(project: int | None, services: Services) -> dict[str, Any]:
    """Request a retrain, and return the outcome; Label Studio stores the `job`.

    A request that takes long goes on after the answer. `queued` is null if its outcome is not known yet.
    """
    if project is None:
        return {"training": {"queued": False, "reason": "the event has no project"}}
    request = partial(_request_training, project, services)
    with anyio.move_on_after(REQUEST_SECONDS):
        return await anyio.to_thread.run_sync(request, abandon_on_cancel=True)
    log.warning("a retrain is being requested, and takes long", project=project, code="request_timeout")
    look_up = partial(_recorded_training, project, services)
    with anyio.move_on_after(LOOKUP_SECONDS):
        return await anyio.to_thread.run_sync(look_up, abandon_on_cancel=True)
    return {"training": {"queued": None, "reason": UNKNOWN}}


def _recorded_training(project: int, services: Services) -> dict[str, Any]:
    """Return the outcome of a request that still waits for the queue, as far as the database knows it."""
    try:
        run = services.site.runs.runs.active(project)
    except MammoError:
        run = None
    if run is None:
        return {"training": {"queued": None, "reason": UNKNOWN}}
    return {"job": run.id, "training": {"queued": True, "waits": SLOW}}


def _request_training(project: int, services: Services) -> dict[str, Any]:
    try:
        started = start_by_button(services, project)
    except MammoError as error:
        log.warning("a retrain could not be requested", project=project, code=error.code)
        return {"training": {"queued": False, "reason": str(error)}}
    outcome: dict[str, Any] = {"queued": True, "created": started.created}
    if started.problem:
        outcome["waits"] = started.problem
    return {"job": started.run, "training": outcome}


def _settle_second_looks(project: int, services: Services) -> None:
    """Record what an event answers to labels that were sent back; a later reconciliation does it otherwise."""
    try:
        services.site.second_looks.settle(project)
    except MammoError as error:
        log.warning("answers to second looks are not recorded yet", project=project, code=error.code)


def _train_if_due(project: int, services: Services) -> None:
    """Start a retrain or a run for a provisional model, if there are enough new corrections."""
    try:
        if services.triggers.start_by_corrections(project) is None:
            services.triggers.start_provisional(project)
    except MammoError as error:
        log.warning("a retrain could not be requested", project=project, code=error.code)
