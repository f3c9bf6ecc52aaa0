"""`/api/v1/pins` and `/api/v1/projects/ID/pin`: projects that are kept on one model version."""

from __future__ import annotations

from functools import partial

import anyio.to_thread
from fastapi import APIRouter
from pydantic import ConfigDict, Field

from backend.answers import Json
from backend.api.schemas import VERSION, Number, Reason
from backend.dependencies import ServicesDep
from backend.model_moves import pin as pin_project
from backend.model_moves import unpin as unpin_project
from backend.roles import AdministratorDep, ViewerDep

router = APIRouter(prefix="/api/v1", tags=["models"])


class PinOrder(Reason):
    """The model version that a project stays with, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"version": "m0002-3fa9c2d1", "reason": "the trial ends with its first model"}]
        },
    )

    version: str = Field(max_length=64, pattern=VERSION)
    """Its name, or `champion`, `challenger` or `previous`, whose version of now is meant."""


@router.get("/pins")
async def pins(services: ServicesDep, _: ViewerDep) -> Json:
    """List the projects that are pinned to a model version, by the settings or by a person."""
    found = await anyio.to_thread.run_sync(services.site.pins.all)
    return Json({"pins": [each.to_json() for each in found.values()]})


@router.post("/projects/{project}/pin")
async def pin(project: Number, order: PinOrder, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Keep a project on a model version, whatever the champion becomes. 409: the version cannot serve it."""
    request = partial(
        pin_project, services.site, project, order.version, reason=order.reason, actor=caller.name
    )
    return Json((await anyio.to_thread.run_sync(request)).to_json())


@router.post("/projects/{project}/unpin")
async def unpin(project: Number, why: Reason, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Let a project follow the champion again. 404: it is not pinned. 409: the settings pin it."""
    request = partial(unpin_project, services.site, project, reason=why.reason, actor=caller.name)
    version = await anyio.to_thread.run_sync(request)
    return Json({"project": project, "unpinned_from": version})
