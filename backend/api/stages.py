"""`/api/v1/projects/ID/stage`: what the model may do in a project; an annotator lead changes it."""

from __future__ import annotations

from functools import partial
from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, HTTPException
from pydantic import ConfigDict, Field

from backend.answers import Json
from backend.api.schemas import Number, Reason
from backend.callers import Caller
from backend.dependencies import ServicesDep
from backend.roles import LeadDep, ViewerDep
from backend.services import Services
from mammo.access.roles import includes
from mammo.stages import Stage

router = APIRouter(prefix="/api/v1", tags=["stages"])


class StageOrder(Reason):
    """A change of stage, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"stage": "assisted", "reason": "readers follow the prelabels"}]},
    )

    stage: Literal["assisted", "semi-automatic", "automatic"]
    override: bool = False
    """Change it against the rules; administrators only."""

    threshold: float | None = Field(None, gt=0, le=1)
    """Lowest accepted score of the automatic stage, in place of the calibrated one; needs `override`."""


@router.get("/projects/{project}/stage")
async def show(project: Number, services: ServicesDep, _: ViewerDep) -> Json:
    """Show the stage, its evidence, the rules' proposal, and every change so far."""
    report = await anyio.to_thread.run_sync(services.site.stages.show, project)
    return Json(report.to_json())


@router.post("/projects/{project}/stage")
async def change(project: Number, order: StageOrder, services: ServicesDep, caller: LeadDep) -> Json:
    """Change the stage. 409: the rules are not met, or it was changed meanwhile."""
    await change_stage(
        services,
        project,
        order.stage,
        caller=caller,
        reason=order.reason,
        override=order.override,
        threshold=order.threshold,
    )
    report = await anyio.to_thread.run_sync(services.site.stages.show, project)
    return Json(report.to_json())


async def change_stage(
    services: Services,
    project: int,
    stage: Stage,
    *,
    caller: Caller,
    reason: str,
    override: bool,
    threshold: float | None,
) -> None:
    """Change the stage of a project for a caller.

    Raises:
        HTTPException: 403, only an administrator may overrule the rules.
        StageRefused: the rules are not met.
        LabelStudioError: the corrections cannot be read now.
    """
    if override and not includes(caller.role, "administrator"):
        raise HTTPException(
            403, f"only an administrator may overrule the rules; {caller.name} is {caller.role}"
        )
    request = partial(
        services.site.stages.set,
        project,
        stage,
        actor=caller.name,
        reason=reason,
        override=override,
        threshold=threshold,
    )
    await anyio.to_thread.run_sync(services.site.make_room)
    await anyio.to_thread.run_sync(request)
