"""`/readings` and `/projects/{id}/reading`: double readings, their state, and their steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from backend.answers import Json
from backend.auth import require_basic
from backend.dependencies import ServicesDep
from backend.services import Services
from mammo.errors import ReadingConflict
from mammo.readings import ReadingRules, ReadingService, Role, StepResult, Summary, summarise
from mammo.readings.rules import ConsensusRule, SecondLook

router = APIRouter(dependencies=[Depends(require_basic)])

Number = Annotated[int, Path(gt=0, lt=2**63)]
StepName = Literal["sync", "second-look", "arbitrate"]

STEPS: dict[str, Callable[[ReadingService, int], StepResult]] = {
    "sync": ReadingService.sync,
    "second-look": ReadingService.second_look,
    "arbitrate": ReadingService.arbitrate,
}


class Rules(BaseModel):
    """Rules of a double reading; what is left out stays, or has its default."""

    model_config = ConfigDict(extra="forbid")

    match_iou: float | None = Field(None, ge=0, le=1)
    match_centres: bool | None = None
    least_dice: float | None = Field(None, ge=0, le=1)
    most_boundary_mm: float | None = Field(None, ge=0, le=1000)
    consensus: ConsensusRule | None = None
    rounds: int | None = Field(None, ge=1, le=3)
    second_look: SecondLook | None = None


class Order(BaseModel):
    """What a double reading begins with."""

    model_config = ConfigDict(extra="forbid")

    rules: Rules = Rules()
    readers: dict[Role, Annotated[str, Field(max_length=254)]] = Field(default_factory=dict)
    """Email addresses of the Label Studio accounts, by role."""


@router.get("/readings")
async def readings(services: ServicesDep) -> Json:
    """The projects that are read twice."""
    return Json({"projects": await anyio.to_thread.run_sync(_room(services).records.sources)})


@router.get("/projects/{project}/reading")
async def reading(project: Number, services: ServicesDep) -> Json:
    """State and agreement of a project's double reading; 404 where it has none."""
    found = await anyio.to_thread.run_sync(_summary, _room(services), project)
    return Json(found.to_json())


@router.post("/projects/{project}/reading", status_code=201)
async def create(project: Number, order: Order, services: ServicesDep) -> Json:
    """Begin to read a project twice: three projects in Label Studio and their tasks. Safe to repeat."""
    room = _room(services)
    rules = ReadingRules(**order.rules.model_dump(exclude_none=True))

    def begin() -> Summary:
        room.create(project, rules=rules, emails=order.readers)
        return _summary(room, project)

    return Json((await anyio.to_thread.run_sync(begin)).to_json(), 201)


@router.patch("/projects/{project}/reading")
async def change(project: Number, rules: Rules, services: ServicesDep) -> Json:
    """Change rules; what was agreed on is judged anew."""
    room = _room(services)

    def judge_anew() -> Summary:
        room.records.change_rules(project, **rules.model_dump(exclude_none=True))
        return _summary(room, project)

    return Json((await anyio.to_thread.run_sync(judge_anew)).to_json())


@router.post("/projects/{project}/reading/{step}")
async def take(project: Number, step: StepName, services: ServicesDep) -> Json:
    """One step: `sync`, `second-look` or `arbitrate`. Safe to repeat; 409 while another one is under way."""
    done = await anyio.to_thread.run_sync(STEPS[step], _room(services), project)
    return Json(asdict(done))


def _room(services: Services) -> ReadingService:
    if services.reading_service is None:
        raise ReadingConflict(
            "double readings need YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY",
            code="no_label_studio",
        )
    return services.reading_service


def _summary(room: ReadingService, project: int) -> Summary:
    return summarise(room.records.find(project), room.cases(project))
