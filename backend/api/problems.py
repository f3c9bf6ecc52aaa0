"""`/api/v1/problems`: what `doctor` finds wrong, and the repairs that it has."""

from __future__ import annotations

from functools import partial
from typing import Annotated, cast

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request

from backend.answers import Json
from backend.problems import INSTALLATION, Problems
from backend.roles import AdministratorDep, ViewerDep

router = APIRouter(prefix="/api/v1", tags=["problems"])

CheckName = Annotated[str, Path(max_length=40, pattern=r"^[a-z-]+$")]
ProjectOrNone = Annotated[int, Query(ge=0, lt=2**63)]


@router.get("/problems")
async def problems(request: Request, _: ViewerDep, project: ProjectOrNone = INSTALLATION) -> Json:
    """List what is wrong with the installation, or with a project; `checked_at` is null until it was checked."""
    found = await anyio.to_thread.run_sync(_problems(request).of, project)
    listed = [each.to_json() for each in found.value or ()]
    return Json({"checked_at": found.at.isoformat() if found.at else None, "problems": listed})


@router.post("/problems/{check}/repair")
async def repair(
    request: Request, check: CheckName, caller: AdministratorDep, project: ProjectOrNone = INSTALLATION
) -> Json:
    """Repair a problem that is `repairable`. 409: the last check has found none of this name."""
    order = partial(_problems(request).repair, project, check, actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return Json({"repaired": check})


def _problems(request: Request) -> Problems:
    return cast(Problems, request.app.state.problems)
