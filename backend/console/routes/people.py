"""`/console/people`: who read what in a project, how much is left, and how alike its readers are."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from backend.console.chosen_project import chosen_project
from backend.console.rendering import render
from backend.dependencies import ServicesDep
from backend.periods import PERIODS, Period
from backend.roles import ViewerDep, sees_names

router = APIRouter(prefix="/console", include_in_schema=False)


@router.get("/people")
async def people(
    request: Request,
    services: ServicesDep,
    caller: ViewerDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    period: Annotated[str, Query(pattern=f"^({'|'.join(PERIODS)})$")] = "last-week",
    since: date | None = None,
    until: date | None = None,
) -> HTMLResponse:
    """Show the readers of a project in a period: a named one, or from a day to a day."""
    with_names = sees_names(caller)

    def read() -> dict[str, Any]:
        number, projects = chosen_project(services, project)
        figure = request.app.state.readers.get(number) if number else None
        return {"project": number, "projects": projects, "figure": figure}

    facts = await anyio.to_thread.run_sync(read)
    named = Period.named(period, today=datetime.now(UTC).date())
    days = Period(since, until) if since or until else named
    readers = facts["figure"].value if facts["figure"] else None
    return render(
        request,
        "people.html",
        section="people",
        readers=readers,
        rows=readers.rows(since=days.since, until=days.until, with_names=with_names) if readers else [],
        pairs=readers.pairs(since=days.since, until=days.until) if readers else [],
        days=days,
        period="" if since or until else period,
        periods=PERIODS,
        with_names=with_names,
        label_studio=services.settings.label_studio_public_url or services.settings.label_studio_url,
        **facts,
    )
