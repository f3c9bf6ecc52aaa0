"""`/console/projects/ID/stage`: what the model may do in a project, and the form that changes it."""

from __future__ import annotations

from typing import Any, cast

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import HTMLResponse, Response

from backend.api.schemas import Number
from backend.api.stages import change_stage
from backend.console.forms import read_form, required_reason
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.refreshed import Refreshed
from backend.roles import LeadDep, ViewerDep
from mammo.stages import Stage, StageReport
from mammo.stages.rules import DEFAULT_STAGE, ORDER

router = APIRouter(prefix="/console/projects", include_in_schema=False)

MEANINGS: dict[Stage, str] = {
    "assisted": "People draw; predictions are made and not shown.",
    "semi-automatic": "Every image is prelabelled, and people review all of them.",
    "automatic": "Sure predictions are submitted without a person, and some of them are audited.",
}


@router.get("/{project}/stage")
async def stage(request: Request, project: Number, services: ServicesDep, _: ViewerDep) -> HTMLResponse:
    """Show the stage, what the rules say, and every change so far."""
    reports = cast("Refreshed[int, StageReport]", request.app.state.stage_reports)

    def read() -> dict[str, Any]:
        history = services.site.stage_log.history(project)
        return {
            "stage": history[-1].stage if history else DEFAULT_STAGE,
            "history": list(reversed(history)),
            "report": reports.get(project),
        }

    facts = await anyio.to_thread.run_sync(read)
    return render(
        request,
        "stage.html",
        section="overview",
        project=project,
        stages=ORDER,
        meanings=MEANINGS,
        **facts,
    )


@router.post("/{project}/stage")
async def change(request: Request, project: Number, services: ServicesDep, caller: LeadDep) -> Response:
    """Change the stage."""
    form = await read_form(request)
    if form.get("stage") not in ORDER:
        raise HTTPException(422, "choose a stage")
    await change_stage(
        services,
        project,
        cast(Stage, form["stage"]),
        caller=caller,
        reason=required_reason(form),
        override="override" in form,
        threshold=None,
    )
    cast("Refreshed[int, StageReport]", request.app.state.stage_reports).forget(project)
    return see_other(f"/console/projects/{project}/stage")
