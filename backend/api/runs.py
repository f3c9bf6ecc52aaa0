"""`/api/v1/runs`, and the runs of a project."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from backend.answers import Json
from backend.api.schemas import Number, RunOrder, Why
from backend.dependencies import ServicesDep
from backend.roles import AdministratorDep, ViewerDep
from backend.routes.runs import RunId, follow, log
from mammo.runs import Started

router = APIRouter(prefix="/api/v1", tags=["runs"])


@router.get("/runs")
async def newest(
    services: ServicesDep,
    _: ViewerDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    active: bool = False,
    limit: Annotated[int, Query(gt=0, le=500)] = 50,
) -> Json:
    """List runs, newest first."""
    read = partial(services.site.runs.runs.newest, project=project, active=active, limit=limit)
    return Json({"runs": [run.to_json() for run in await anyio.to_thread.run_sync(read)]})


@router.get("/runs/{name}")
async def show(name: RunId, services: ServicesDep, _: ViewerDep) -> Json:
    """Show a run, with the results of its stages. 404: there is none of this id."""
    runs = services.site.runs.runs

    def read() -> dict[str, Any]:
        run = runs.get(name)
        return {**run.to_json(), "results": runs.results(run.id)}

    return Json(await anyio.to_thread.run_sync(read))


router.add_api_route("/runs/{name}/log", log, methods=["GET"])
router.add_api_route("/runs/{name}/events", follow, methods=["GET"], response_class=StreamingResponse)


@router.post("/projects/{project}/runs", status_code=202)
async def start(
    project: Number, services: ServicesDep, caller: AdministratorDep, order: RunOrder | None = None
) -> Json:
    """Start a run, unless the project has an active one (`created` is then false). The body may be left out."""
    order = order or RunOrder()
    request = partial(
        services.triggers.start,
        project,
        reason=order.reason or "asked for over HTTP",
        trigger="api",
        recipe=order.recipe,
        actor=caller.name,
    )
    return Json(_started(await anyio.to_thread.run_sync(request)), 202)


@router.post("/runs/{name}/cancel")
async def cancel(
    name: RunId, services: ServicesDep, caller: AdministratorDep, why: Why | None = None
) -> Json:
    """Cancel a run, which stops within seconds and keeps its finished stages. 409: it has ended."""
    await anyio.to_thread.run_sync(services.site.make_room)
    reason = why.reason if why else ""
    request = partial(services.site.runs.cancel, name, reason=reason, actor=caller.name)
    return Json((await anyio.to_thread.run_sync(request)).to_json())


@router.post("/runs/{name}/resume", status_code=202)
async def resume(
    name: RunId, services: ServicesDep, caller: AdministratorDep, why: Why | None = None
) -> Json:
    """Resume a failed or cancelled run. 409: it is neither, or its project has another active run."""
    reason = why.reason if why else ""
    request = partial(services.site.runs.resume, name, reason=reason, actor=caller.name)
    return Json(_started(await anyio.to_thread.run_sync(request)), 202)


def _started(started: Started) -> dict[str, Any]:
    answer = {"run": started.run, "created": started.created}
    return answer | ({"waits": started.problem} if started.problem else {})
