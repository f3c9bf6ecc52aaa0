"""`/console`: per project which model serves and why, and what to do next."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any, cast

import anyio.to_thread
from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from backend.console.charts import Mark, Series, line_chart
from backend.console.curve_chart import curve_chart, curve_rows
from backend.console.rendering import render
from backend.dependencies import ServicesDep
from backend.project_overview import ProjectOverview, ProjectOverviews, WeekOfEffort
from backend.refreshed import Figure
from backend.roles import ViewerDep
from mammo.models import Promotion

router = APIRouter(prefix="/console", include_in_schema=False)


@router.get("")
async def overview(request: Request, services: ServicesDep, _: ViewerDep) -> HTMLResponse:
    """Show every project."""
    overviews = cast(ProjectOverviews, request.app.state.overviews)

    def read() -> list[dict[str, Any]]:
        history = services.site.registry.history()
        curves = services.site.learning_curves
        return [
            _facts(each, overviews.effort(each.project), history, curves.newest(each.project))
            for each in overviews.all()
        ]

    projects = await anyio.to_thread.run_sync(read)
    problem = services.store.problem or services.host.status().problem
    return render(
        request,
        "overview.html",
        section="overview",
        projects=projects,
        problem=problem,
        host=services.host.status(),
        label_studio=services.settings.label_studio_public_url or services.settings.label_studio_url,
    )


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
