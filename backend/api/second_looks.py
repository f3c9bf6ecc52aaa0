"""`/api/v1/projects/{project}/second-looks`: labels that are probably wrong."""

from __future__ import annotations

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
    search,
    send_back,
)
from backend.roles import LeadDep, ViewerDep

router = APIRouter(prefix="/api/v1", tags=["second looks"])


class Search(BaseModel):
    """How much a search may compute."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"predictions": 200}]})

    predictions: int = Field(DEFAULT_PREDICTIONS, ge=0, le=MAX_PREDICTIONS)
    """Most tasks that are predicted, because no stored prediction of them may be used."""


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
    """List the open doubts, strongest first, those that were sent back, and the precision so far."""
    looks = services.site.second_looks

    def read() -> dict[str, Any]:
        return {
            "project": project,
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
    predictions = (order or Search()).predictions
    enqueued = await anyio.to_thread.run_sync(partial(search, services, project, predictions=predictions))
    return Json({"job": enqueued.job_id, "created": enqueued.created}, 202)


@router.post("/projects/{project}/second-looks/send")
async def send(project: Number, services: ServicesDep, caller: LeadDep, order: Sending | None = None) -> Json:
    """Send the strongest open doubts back to the readers of the labels, as tabs in Label Studio."""
    limit = (order or Sending()).limit
    request = partial(send_back, services, project, limit=limit, actor=caller.name)
    sent = await anyio.to_thread.run_sync(request)
    return Json(
        {"doubts": sent.doubts, "tasks": sent.tasks, "tabs": sorted(sent.tabs.values()), "gone": sent.gone}
    )
