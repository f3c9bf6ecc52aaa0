"""`/projects/{id}/stage`: what the model may do in a project, why, and who changed it; nothing changes by itself."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Depends, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from backend.answers import Json
from backend.auth import require_basic
from backend.dependencies import ServicesDep
from backend.services import Services
from mammo.stages import StageService

router = APIRouter(dependencies=[Depends(require_basic)])

Number = Annotated[int, Path(gt=0, lt=2**63)]


class StageOrder(BaseModel):
    """A person's decision."""

    model_config = ConfigDict(extra="forbid")

    stage: Literal["assisted", "semi-automatic", "automatic"]
    by: str = Field(min_length=1, max_length=100)
    reason: str = Field(min_length=1, max_length=1000)
    override: bool = False
    threshold: float | None = Field(None, gt=0, le=1)


@router.get("/projects/{project}/stage")
async def show(project: Number, services: ServicesDep) -> Json:
    """The stage, the evidence, what the rules propose, and every change so far."""
    found = await anyio.to_thread.run_sync(_desk(services).show, project)
    return Json(found.to_json())


@router.post("/projects/{project}/stage")
async def change(project: Number, order: StageOrder, services: ServicesDep) -> Json:
    """Change the stage; 409 when the rules are not met and `override` is not set, or somebody else changed it."""
    await anyio.to_thread.run_sync(
        partial(
            _desk(services).set,
            project,
            order.stage,
            actor=order.by,
            reason=order.reason,
            override=order.override,
            threshold=order.threshold,
        )
    )
    found = await anyio.to_thread.run_sync(_desk(services).show, project)
    return Json(found.to_json())


def _desk(services: Services) -> StageService:
    if services.stages is None:
        raise HTTPException(404, "this backend keeps no stages")
    return services.stages
