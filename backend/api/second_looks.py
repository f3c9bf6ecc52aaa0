"""`/api/v1/projects/{project}/second-looks`: labels that are probably wrong."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from backend.answers import Json
from backend.api.schemas import Number
from backend.dependencies import ServicesDep
from backend.requested_looks import (
    DEFAULT_PREDICTIONS,
    DEFAULT_SENT,
    MAX_PREDICTIONS,
    MAX_SENT,
    cancel_search,
    search,
    send_back,
)
from backend.roles import LeadDep, ViewerDep
from mammo.runs.payloads import MAX_FOLDS

router = APIRouter(prefix="/api/v1", tags=["second looks"])


class Search(BaseModel):
    """How much a search may compute."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"predictions": 200}, {"folds": 5, "seed": 0}]}
    )

    predictions: int = Field(DEFAULT_PREDICTIONS, ge=0, le=MAX_PREDICTIONS)
    """Most tasks that are predicted, because no stored prediction of them may be used."""

    folds: int = Field(0, ge=0, le=MAX_FOLDS)
    """Folds of out-of-fold predictions, at least 2: every patient is predicted by a model that was fine-tuned on the
    others, which costs a training per fold. 0: stored predictions are used."""

    seed: int = Field(0, ge=0, lt=2**63)
    """Of the split into folds."""


class Sending(BaseModel):
    """How many labels are sent back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"limit": 20}]})

    limit: int = Field(DEFAULT_SENT, ge=1, le=MAX_SENT)


@router.get("/projects/{project}/second-looks")
async def doubts(
    project: Number,
    services: ServicesDep,
    _: ViewerDep,
    limit: Annotated[int, Query(gt=0, le=1000)] = 100,
) -> Json:
    """List the open doubts, strongest first, those that were sent back, and the precision so far.

    `search` says how they were found: with its folds, seed and base, what was compared, and in `learned` the tasks that
    the serving model has learned from. `job` is the newest search in the queue; null after 30 days.
    """
    looks = services.site.second_looks

    def read() -> dict[str, Any]:
        job = services.queue.looking_again(project)
        return {
            "project": project,
            "search": looks.records.newest_search(project),
            "job": job and asdict(job),
            "open": [each.to_json() for each in looks.records.ranked(project, limit=limit, is_open=True)],
            "sent": [each.to_json() for each in looks.records.ranked(project, limit=limit, is_open=False)],
            "precision": {
                name: [each.to_json() for each in groups] for name, groups in looks.precision(project).items()
            },
        }

    return Json(await anyio.to_thread.run_sync(read))


@router.post("/projects/{project}/second-looks", status_code=202)
async def start(project: Number, services: ServicesDep, _: LeadDep, order: Search | None = None) -> Json:
    """Search the newest dataset version for doubtful labels, in the background. The body may be left out.

    `created` is false if a search is active. 404: there is no such project.
    """
    request = partial(search, services, project, **(order or Search()).model_dump())
    enqueued = await anyio.to_thread.run_sync(request)
    return Json({"job": enqueued.job_id, "created": enqueued.created}, 202)


@router.post("/projects/{project}/second-looks/cancel", status_code=202)
async def cancel(project: Number, services: ServicesDep, caller: LeadDep) -> Json:
    """Cancel the active search; one that has begun ends within seconds, and its complete folds are kept.

    409: none is active.
    """
    request = partial(cancel_search, services, project, actor=caller.name)
    return Json({"job": await anyio.to_thread.run_sync(request)}, 202)


@router.post("/projects/{project}/second-looks/send")
async def send(project: Number, services: ServicesDep, caller: LeadDep, order: Sending | None = None) -> Json:
    """Send the strongest open doubts back to the readers of the labels, as tabs in Label Studio."""
    limit = (order or Sending()).limit
    request = partial(send_back, services, project, limit=limit, actor=caller.name)
    sent = await anyio.to_thread.run_sync(request)
    return Json(
        {"doubts": sent.doubts, "tasks": sent.tasks, "tabs": sorted(sent.tabs.values()), "gone": sent.gone}
    )
