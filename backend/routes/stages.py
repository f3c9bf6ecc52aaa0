"""`/projects/{id}/stage`: what the model may do in a project, with its evidence and history."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from backend.answers import Json
from backend.dependencies import ServicesDep

router = APIRouter()

Number = Annotated[int, Path(gt=0, lt=2**63)]


class StageChange(BaseModel):
    """A person's decision to change the stage."""

    model_config = ConfigDict(extra="forbid")

    stage: Literal["assisted", "semi-automatic", "automatic"]
    by: str = Field(min_length=1, max_length=100)
    reason: str = Field(min_length=1, max_length=1000)
    override: bool = False
    threshold: float | None = Field(None, gt=0, le=1)


@router.get("/projects/{project}/stage")
async def show(project: Number, services: ServicesDep) -> Json:
    """Show the stage, its evidence, the rules' proposal, and every change so far."""
    report = await anyio.to_thread.run_sync(services.site.stages.show, project)
    return Json(report.to_json())


@router.post("/projects/{project}/stage")
async def change(project: Number, body: StageChange, services: ServicesDep) -> Json:
    """Change the stage. 409: the rules are not met and `override` is not set, or it was changed meanwhile."""
    stages = services.site.stages
    request = partial(
        stages.set,
        project,
        body.stage,
        actor=body.by,
        reason=body.reason,
        override=body.override,
        threshold=body.threshold,
    )
    await anyio.to_thread.run_sync(services.site.make_room)
    await anyio.to_thread.run_sync(request)
    report = await anyio.to_thread.run_sync(stages.show, project)
    return Json(report.to_json())
