"""`/api/v1/projects`: what the console's first page says."""

from __future__ import annotations

from functools import partial

import anyio.to_thread
from fastapi import APIRouter, Request

from backend.answers import Json
from backend.api.schemas import Number
from backend.dependencies import ServicesDep
from backend.roles import ViewerDep

router = APIRouter(prefix="/api/v1", tags=["projects"])


@router.get("/projects")
async def overview(request: Request, _: ViewerDep) -> Json:
    """Show every project: its model, the corrections that wait, the last verdict, and the run that is active."""
    projects = await anyio.to_thread.run_sync(request.app.state.overviews.all)
    return Json({"projects": [each.to_json() for each in projects]})


@router.get("/projects/{project}/curve")
async def curve(project: Number, services: ServicesDep, _: ViewerDep) -> Json:
    """Show the newest learning curve of a project: its points, their power law, and what the gate still needs.

    `curve` is null before the first judged run.
    """
    read = partial(services.site.learning_curves.newest, project)
    return Json({"project": project, "curve": await anyio.to_thread.run_sync(read)})
