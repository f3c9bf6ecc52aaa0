"""`/runs`: retrains to look at, follow, start, cancel and resume."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

import anyio
import anyio.to_thread
import orjson
from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from backend.answers import Json
from backend.auth import require_basic
from backend.dependencies import ServicesDep
from mammo.runs import Run, Runs
from mammo.settings import RecipeName

LOOK_SECONDS = 1.0
"""Between two looks at a run that is followed."""

SILENT_SECONDS = 15.0
"""After so long without news a followed run sends a comment, so that no proxy takes the connection for dead."""

MAX_LINES = 1000

router = APIRouter(dependencies=[Depends(require_basic)])

Number = Annotated[int, Path(gt=0, lt=2**63)]
RunId = Annotated[str, Path(max_length=64, pattern=r"^[a-z]+-[0-9]+-[0-9a-f]{12}$")]
"""The whole id, as `mammo.runs` and the queue make them: programs do not guess."""


class RunOrder(BaseModel):
    """A retrain that somebody wants."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("asked for over HTTP", min_length=1, max_length=1000)
    recipe: RecipeName | None = None


class Why(BaseModel):
    """Why a run is cancelled or resumed; it stays in its log."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1000)


@router.post("/projects/{project}/runs", status_code=202)
async def start(project: Number, order: RunOrder, services: ServicesDep) -> Json:
    """Ask for a run; an active one of the project stands for this too (`created` is false)."""
    ask = partial(services.training.ask, project, reason=order.reason, trigger="api", recipe=order.recipe)
    started = await anyio.to_thread.run_sync(ask)
    answer = {"run": started.run, "created": started.created}
    return Json(answer | ({"waits": started.problem} if started.problem else {}), 202)


@router.get("/runs")
async def newest(
    services: ServicesDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    active: bool = False,
    limit: Annotated[int, Query(gt=0, le=500)] = 50,
) -> Json:
    """Runs, newest first."""
    look = partial(services.training.desk.runs.newest, project=project, active=active, limit=limit)
    return Json({"runs": [each.to_json() for each in await anyio.to_thread.run_sync(look)]})


@router.get("/runs/{name}")
async def show(name: RunId, services: ServicesDep) -> Json:
    """One run, with what its stages came to."""
    runs = services.training.desk.runs

    def look() -> dict[str, object]:
        found = runs.get(name)
        return {**found.to_json(), "results": runs.results(found.id)}

    return Json(await anyio.to_thread.run_sync(look))


@router.get("/runs/{name}/log")
async def log(
    name: RunId,
    services: ServicesDep,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(gt=0, le=MAX_LINES)] = 200,
) -> Json:
    """The last lines of a run's log, or of those after event `after`, oldest first."""
    runs = services.training.desk.runs

    def look() -> list[dict[str, object]]:
        found = runs.get(name)
        return [each.to_json() for each in runs.events(found.id, after=after, limit=limit, newest=True)]

    return Json({"events": await anyio.to_thread.run_sync(look)})


@router.get("/runs/{name}/events", response_class=StreamingResponse)
async def follow(
    name: RunId,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header(pattern=r"^\d{1,18}$")] = None,
) -> StreamingResponse:
    """Server-sent events until the run has ended: `log` for every line (its `id` resumes), `run` for its progress."""
    runs = services.training.desk.runs
    found = await anyio.to_thread.run_sync(runs.get, name)
    return StreamingResponse(
        _events(runs, found.id, after=int(last_event_id or 0)),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@router.post("/runs/{name}/cancel")
async def cancel(name: RunId, order: Why, services: ServicesDep) -> Json:
    """End a run; 409 when it has ended. A running one stops within seconds and keeps what it has done."""
    stop = partial(services.training.desk.cancel, name, reason=order.reason)
    return Json((await anyio.to_thread.run_sync(stop)).to_json())


@router.post("/runs/{name}/resume", status_code=202)
async def resume(name: RunId, order: Why, services: ServicesDep) -> Json:
    """Send a failed or cancelled run on; 409 when it is neither, or its project has another active run."""
    again = partial(services.training.desk.resume, name, reason=order.reason)
    started = await anyio.to_thread.run_sync(again)
    return Json({"run": started.run} | ({"waits": started.problem} if started.problem else {}), 202)


async def _events(runs: Runs, name: str, *, after: int) -> AsyncIterator[bytes]:
    shown, silent = b"", 0.0
    while True:
        # The run first: what it did before its end is told before its end is.
        found: Run = await anyio.to_thread.run_sync(runs.get, name)
        lines = await anyio.to_thread.run_sync(partial(runs.events, name, after=after, limit=MAX_LINES))
        for line in lines:
            after = line.id
            yield b"id: %d\nevent: log\ndata: %b\n\n" % (line.id, orjson.dumps(line.to_json()))
        news = orjson.dumps({**found.to_json(), "heartbeat_at": None, "seconds_left": None})
        if news != shown:
            shown, silent = news, 0.0
            yield b"event: run\ndata: %b\n\n" % orjson.dumps(found.to_json())
        if not found.active and len(lines) < MAX_LINES:
            return
        silent += LOOK_SECONDS
        if silent >= SILENT_SECONDS:
            silent = 0.0
            yield b": still here\n\n"
        await anyio.sleep(LOOK_SECONDS)
