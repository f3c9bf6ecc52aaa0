"""`/api/v1/runs`, and the runs of a project."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from backend.answers import Json
from backend.api.schemas import Number, RunOrder, Why
from backend.dependencies import ServicesDep
from backend.requested_runs import start_requested
from backend.roles import VIEWER, AdministratorDep
from backend.routes.runs import RunId, follow, log, newest, show
from mammo.runs import Started

router = APIRouter(prefix="/api/v1", tags=["runs"])


router.add_api_route("/runs", newest, methods=["GET"], dependencies=[VIEWER])
router.add_api_route("/runs/{name}", show, methods=["GET"], dependencies=[VIEWER])
router.add_api_route("/runs/{name}/log", log, methods=["GET"])
router.add_api_route("/runs/{name}/events", follow, methods=["GET"], response_class=StreamingResponse)


@router.post("/projects/{project}/runs", status_code=202)
async def start(
    project: Number, services: ServicesDep, caller: AdministratorDep, order: RunOrder | None = None
) -> Json:
    """Start a run, unless the project has an active one (`created` is then false). The body may be left out.

    404: there is no such project.
    """
    order = order or RunOrder()
    request = partial(
        start_requested,
        services,
        project,
        reason=order.reason or "asked for over HTTP",
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
