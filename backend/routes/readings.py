"""`/readings` and `/projects/{id}/reading`: state and steps of double readings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from backend.answers import Json
from backend.dependencies import ServicesDep
from backend.services import Services
from mammo.errors import ReadingConflict
from mammo.readings import ReadingRules, ReadingService, Role, StepResult, Summary, summarise
from mammo.readings.rules import ConsensusRule, SecondLook

router = APIRouter()

Number = Annotated[int, Path(gt=0, lt=2**63)]
StepName = Literal["sync", "second-look", "arbitrate"]

STEPS: dict[str, Callable[[ReadingService, int], StepResult]] = {
    "sync": ReadingService.sync,
    "second-look": ReadingService.second_look,
    "arbitrate": ReadingService.arbitrate,
}


class Rules(BaseModel):
    """Rules of a double reading. Omitted ones keep their value, or have their default."""

    model_config = ConfigDict(extra="forbid")

    match_iou: float | None = Field(None, ge=0, le=1)
    match_centres: bool | None = None
    least_dice: float | None = Field(None, ge=0, le=1)
    most_boundary_mm: float | None = Field(None, ge=0, le=1000)
    consensus: ConsensusRule | None = None
    rounds: int | None = Field(None, ge=1, le=3)
    second_look: SecondLook | None = None


class ReadingRequest(BaseModel):
    """Rules and readers of a new double reading."""

    model_config = ConfigDict(extra="forbid")

    rules: Rules = Rules()
    readers: dict[Role, Annotated[str, Field(max_length=254)]] = Field(default_factory=dict)
    """Email addresses of the Label Studio accounts, by role."""


@router.get("/readings")
async def readings(services: ServicesDep) -> Json:
    """List the projects with a double reading."""
    return Json({"projects": await anyio.to_thread.run_sync(_service(services).records.sources)})


@router.get("/projects/{project}/reading")
async def reading(project: Number, services: ServicesDep) -> Json:
    """State and agreement of a project's double reading. 404: it has none."""
    summary = await anyio.to_thread.run_sync(_summary, _service(services), project)
    return Json(summary.to_json())


@router.post("/projects/{project}/reading", status_code=201)
async def create(project: Number, body: ReadingRequest, services: ServicesDep) -> Json:
    """Create a double reading: a Label Studio project per reader and arbiter, with tasks. Safe to repeat."""
    service = _service(services)
    rules = ReadingRules(**body.rules.model_dump(exclude_none=True))

    def begin() -> Summary:
        service.create(project, rules=rules, emails=body.readers)
        return _summary(service, project)

    return Json((await anyio.to_thread.run_sync(begin)).to_json(), 201)


@router.patch("/projects/{project}/reading")
async def change(project: Number, rules: Rules, services: ServicesDep) -> Json:
    """Change rules, and judge all cases again."""
    service = _service(services)

    def judge_again() -> Summary:
        service.records.change_rules(project, **rules.model_dump(exclude_none=True))
        return _summary(service, project)

    return Json((await anyio.to_thread.run_sync(judge_again)).to_json())


@router.post("/projects/{project}/reading/{step}")
async def take(project: Number, step: StepName, services: ServicesDep) -> Json:
    """Run a step: `sync`, `second-look` or `arbitrate`. Safe to repeat. 409: another step is running."""
    result = await anyio.to_thread.run_sync(STEPS[step], _service(services), project)
    return Json(asdict(result))


def _service(services: Services) -> ReadingService:
    if services.site.label_studio is None:
        raise ReadingConflict(
            "set YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY: double readings need Label Studio",
            code="no_label_studio",
        )
    return services.site.readings()


def _summary(service: ReadingService, project: int) -> Summary:
    return summarise(service.records.find(project), service.cases(project))
