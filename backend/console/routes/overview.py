"""`/console`: per project which model serves and why, and what to do next."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from functools import partial
from time import monotonic
from typing import Any, cast

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from backend.api.problems import CheckName
from backend.console.charts import Mark, Series, line_chart
from backend.console.curve_chart import curve_chart, curve_rows
from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.problems import INSTALLATION, Problems
from backend.project_overview import ProjectOverview, ProjectOverviews, WeekOfEffort, next_step
from backend.refreshed import PATIENCE, Figure
from backend.roles import AdministratorDep, ViewerDep
from mammo.models import Promotion

router = APIRouter(prefix="/console", include_in_schema=False)


@router.get("")
async def overview(request: Request, services: ServicesDep, _: ViewerDep) -> HTMLResponse:
    """Show every project."""
    overviews = cast(ProjectOverviews, request.app.state.overviews)
    problems = cast(Problems, request.app.state.problems)

    def read() -> list[dict[str, Any]]:
        # However many projects and figures there are, a first look waits once.
        ends = monotonic() + PATIENCE
        history, listed = services.site.registry.history(), overviews.all(ends=ends)
        curves = services.site.learning_curves
        return [
            {
                **_facts(
                    each, overviews.effort(each.project, ends=ends), history, curves.newest(each.project)
                ),
                "problems": problems.of(each.project),
                "next_step": next_step(each.project) if each.is_new else "",
            }
            for each in listed
        ]

    projects = await anyio.to_thread.run_sync(read)
    problem = services.store.problem or services.host.status().problem
    return render(
        request,
        "overview.html",
        section="overview",
        projects=projects,
        problem=problem,
        problems=problems.of(INSTALLATION),
        host=services.host.status(),
        label_studio=services.settings.label_studio_public_url or services.settings.label_studio_url,
    )


@router.post("/problems/{check}/repair")
async def repair(request: Request, check: CheckName, caller: AdministratorDep) -> Response:
    """Repair a problem that the last check has found."""
    project = (await read_form(request)).get("project", "")
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", project, re.ASCII):
        raise HTTPException(422, "choose a problem of the page")
    problems = cast(Problems, request.app.state.problems)
    await anyio.to_thread.run_sync(partial(problems.repair, int(project), check, actor=caller.name))
    return see_other("/console")


def _facts(
    project: ProjectOverview,
    effort: Figure[list[WeekOfEffort]],
    history: list[Promotion],
    curve: dict[str, Any] | None,
) -> dict[str, Any]:
    return {
        "overview": project,
        "effort": effort,
        "chart": _chart(effort.value or [], history),
        "curve": curve,
        "curve_chart": curve_chart(curve) if curve else "",
        "curve_rows": curve_rows(curve) if curve else [],
    }


def _chart(weeks: list[WeekOfEffort], history: list[Promotion]) -> Markup:
    def day(moment: datetime) -> float:
        return moment.timestamp() / 86400

    def points(name: str) -> list[tuple[float, float]]:
        values = [(datetime.combine(each.week, time(), UTC), getattr(each, name)) for each in weeks]
        return [(day(at), value) for at, value in values if value is not None]

    series = [Series("accepted unchanged", points("accept_rate")), Series("Dice", points("dice"))]
    marks = [Mark(day(move.at), f"{move.version} since {move.at:%Y-%m-%d}") for move in history]
    title = "Share of findings accepted unchanged, and Dice of prelabel and correction, by week"
    return line_chart(title, series, low=0.0, high=1.0, marks=marks)
