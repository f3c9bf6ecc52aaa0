"""`/console/runs`: the runs, one run, and the forms that start, cancel and resume."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, cast, get_args

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import HTMLResponse, Response

from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.console.run_pages import STATE_WORDS, plain_failure, stage_times, verdict_rows
from backend.dependencies import ServicesDep
from backend.project_overview import ProjectOverviews
from backend.requested_runs import start_requested
from backend.roles import AdministratorDep, ViewerDep
from backend.routes.runs import RunId
from backend.services import Services
from mammo.runs import RESUMABLE, why_not_trainable
from mammo.training_settings import RequestedRecipe

router = APIRouter(prefix="/console", include_in_schema=False)

MAX_RUNS = 100
MAX_LINES = 200

RECIPES = get_args(RequestedRecipe)


@router.get("/runs")
async def runs(
    request: Request,
    services: ServicesDep,
    _: ViewerDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
) -> HTMLResponse:
    """List the newest runs, and show the form that starts one."""
    overviews = cast(ProjectOverviews, request.app.state.overviews)
    records = services.site.runs.runs

    def read() -> dict[str, Any]:
        newest = records.newest(project=project, limit=MAX_RUNS)
        return {
            "runs": newest,
            "active": next((run for run in newest if run.active), None),
            "projects": [(each, _refusal(services, each.project)) for each in overviews.all()],
        }

    facts = await anyio.to_thread.run_sync(read)
    settings = services.settings
    return render(
        request,
        "runs.html",
        section="runs",
        project=project,
        words=STATE_WORDS,
        recipes=RECIPES,
        recipe=settings.recipe,
        **facts,
    )


@router.post("/runs")
async def start(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Start a run, unless the project has an active one, whose page is then shown."""
    form = await read_form(request)
    number, recipe = form.get("project", ""), form.get("recipe", "")
    if not re.fullmatch(r"[1-9][0-9]{0,17}", number, re.ASCII) or recipe not in RECIPES:
        raise HTTPException(422, "choose a project and a recipe")
    reason = form.get("reason") or "asked for at the console"
    request_run = partial(
        start_requested,
        services,
        int(number),
        reason=reason[:1000],
        recipe=recipe,
        actor=caller.name,
    )
    started = await anyio.to_thread.run_sync(request_run)
    return see_other(f"/console/runs/{started.run}")


@router.get("/runs/{name}")
async def run(request: Request, name: RunId, services: ServicesDep, _: ViewerDep) -> HTMLResponse:
    """Show a run: stages, verdict, log, and what can be done."""
    records = services.site.runs.runs

    def read() -> dict[str, Any]:
        found = records.get(name)
        results = records.results(found.id)
        return {
            "run": found,
            "stages": stage_times(records.events(found.id, limit=10_000)),
            "lines": records.events(found.id, limit=MAX_LINES, newest=True),
            "dataset": (results.get("outcome") or {}).get("dataset_version"),
            "outcome": results.get("outcome") or {},
            "verdict": verdict_rows(results),
            "failure": plain_failure(found),
        }

    facts = await anyio.to_thread.run_sync(read)
    return render(request, "run.html", section="runs", words=STATE_WORDS, resumable=RESUMABLE, **facts)


@router.post("/runs/{name}/cancel")
async def cancel(request: Request, name: RunId, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Cancel a run."""
    form = await read_form(request)
    await anyio.to_thread.run_sync(services.site.make_room)
    order = partial(services.site.runs.cancel, name, reason=_reason(form), actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return see_other(f"/console/runs/{name}")


@router.post("/runs/{name}/resume")
async def resume(request: Request, name: RunId, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Resume a run."""
    form = await read_form(request)
    order = partial(services.site.runs.resume, name, reason=_reason(form), actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return see_other(f"/console/runs/{name}")


def _refusal(services: Services, project: int) -> str | None:
    return why_not_trainable(project, engine=services.site.runs.runs.engine)


def _reason(form: dict[str, str]) -> str:
    return form.get("reason", "")[:1000] or "at the console"
