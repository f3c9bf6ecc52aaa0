"""`/console/runs`: the runs, one run, and the forms that start, cancel and resume."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, cast, get_args

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import HTMLResponse, Response

from backend.api.verdicts import PageNumber
from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.console.run_pages import STATE_WORDS, plain_failure, stage_times, training_curves, verdict_rows
from backend.dependencies import ServicesDep
from backend.project_overview import ProjectOverview, ProjectOverviews
from backend.requested_runs import start_requested
from backend.roles import AdministratorDep, ViewerDep
from backend.routes.runs import RunId
from backend.services import Services
from mammo.runs import RESUMABLE, why_not_trainable
from mammo.runs.records import PICTURES
from mammo.training_settings import RequestedRecipe

router = APIRouter(prefix="/console", include_in_schema=False)

PAGE = 50
"""Runs on a page."""

MAX_LINES = 200

RECIPES = get_args(RequestedRecipe)


@router.get("/runs")
async def runs(
    request: Request,
    services: ServicesDep,
    _: ViewerDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    page: PageNumber = 1,
) -> HTMLResponse:
    """List the runs, newest first, and show the form that starts one."""
    overviews = cast(ProjectOverviews, request.app.state.overviews)
    records = services.site.runs.runs

    def read() -> dict[str, Any]:
        listed = records.newest(project=project, limit=PAGE + 1, offset=(page - 1) * PAGE)
        return {
            "runs": listed[:PAGE],
            "has_older": len(listed) > PAGE,
            "active": next(iter(records.newest(project=project, active=True, limit=1)), None),
            "projects": [(each, _refusal(services, each)) for each in overviews.all()],
        }

    facts = await anyio.to_thread.run_sync(read)
    settings = services.settings
    return render(
        request,
        "runs.html",
        section="runs",
        project=project,
        page=page,
        words=STATE_WORDS,
        recipes=RECIPES,
        recipe=settings.recipe,
        min_patients=settings.min_test_patients,
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
        outcome = records.result(found.id, "outcome")
        return {
            "run": found,
            "stages": stage_times(records.events(found.id, limit=10_000)),
            "lines": records.events(found.id, limit=MAX_LINES, newest=True),
            "curves": training_curves(records.curves(found.id)),
            "dataset": outcome.get("dataset_version"),
            "outcome": outcome,
            "has_verdict": PICTURES in outcome,
            "verdict": verdict_rows(records.result(found.id, "verdict")),
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


def _refusal(services: Services, project: ProjectOverview) -> str | None:
    """Return why a retrain with the settings' recipe cannot succeed, as far as is counted; None if it may."""
    if refusal := why_not_trainable(project.project, engine=services.site.runs.runs.engine):
        return refusal
    waiting, settings = project.waiting.value, services.settings
    return waiting.refusal(settings, settings.recipe) if waiting else None


def _reason(form: dict[str, str]) -> str:
    return form.get("reason", "")[:1000] or "at the console"
