"""`/api/v1/projects/{project}/readers`: who read what, and how much is left."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request

from backend.answers import Json
from backend.api.schemas import Number
from backend.roles import ViewerDep, sees_names

router = APIRouter(prefix="/api/v1", tags=["readers"])


@router.get("/projects/{project}/readers")
async def readers(
    project: Number,
    request: Request,
    caller: ViewerDep,
    since: Annotated[date | None, Query(description="first day, UTC")] = None,
    until: Annotated[date | None, Query(description="last day, UTC")] = None,
) -> Json:
    """Show the readers of a project in a period, how alike they are, and the tasks that are left.

    Names are null unless the caller is an administrator. The figures are counted in the background: `counted_at` is
    null, and there are none, until they have been counted for the first time.
    """
    figure = await anyio.to_thread.run_sync(request.app.state.readers.get, project)
    facts = {"project": project, "counted_at": figure.at.isoformat() if figure.at else None}
    if figure.value is None:
        return Json({**facts, "readers": None, "problem": figure.problem or None})
    return Json({**facts, **figure.value.to_json(since=since, until=until, with_names=sees_names(caller))})
