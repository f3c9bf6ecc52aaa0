"""`/runs`: list, show, follow, start, cancel and resume retrains."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

import anyio
import anyio.to_thread
import orjson
from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from backend.answers import Json
from backend.dependencies import ServicesDep
from backend.requested_runs import start_requested
from mammo.runs import Run, Runs
from mammo.training_settings import RequestedRecipe

POLL_SECONDS = 1.0
"""Seconds between two looks at a followed run."""

KEEP_ALIVE_SECONDS = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy closes the connection."""

MAX_LINES = 1000

router = APIRouter()

Number = Annotated[int, Path(gt=0, lt=2**63)]
RunId = Annotated[str, Path(max_length=64, pattern=r"^[a-z]+-[0-9]+-[0-9a-f]{12}$")]
"""The complete id of a run; beginnings are accepted by the command line only."""


class RunRequest(BaseModel):
    """A request for a retrain."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("asked for over HTTP", min_length=1, max_length=1000)
    recipe: RequestedRecipe | None = None


class Reason(BaseModel):
    """Why a run is cancelled or resumed; recorded in its log."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1000)


@router.post("/projects/{project}/runs", status_code=202)
async def start(project: Number, body: RunRequest, services: ServicesDep) -> Json:
    """Start a run, unless the project has an active one (`created` is then false). 404: there is no such project."""
    request = partial(start_requested, services, project, reason=body.reason, recipe=body.recipe)
    started = await anyio.to_thread.run_sync(request)
    answer = {"run": started.run, "created": started.created}
    return Json(answer | ({"waits": started.problem} if started.problem else {}), 202)


@router.get("/runs")
async def newest(
    services: ServicesDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    active: bool = False,
    limit: Annotated[int, Query(gt=0, le=500)] = 50,
) -> Json:
    """List runs, newest first."""
    read = partial(services.site.runs.runs.newest, project=project, active=active, limit=limit)
    return Json({"runs": [run.to_json() for run in await anyio.to_thread.run_sync(read)]})


@router.get("/runs/{name}")
async def show(name: RunId, services: ServicesDep) -> Json:
    """Show a run, with the results of its stages and the curves of its trainings. 404: there is none of this id."""
    runs = services.site.runs.runs

    def read() -> dict[str, object]:
        run = runs.get(name)
        return {**run.to_json(), "results": runs.results(run.id), "curves": runs.curves(run.id)}

    return Json(await anyio.to_thread.run_sync(read))


@router.get("/runs/{name}/log")
async def log(
    name: RunId,
    services: ServicesDep,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(gt=0, le=MAX_LINES)] = 200,
) -> Json:
    """Return the last lines of a run's log that follow event `after`, oldest first."""
    runs = services.site.runs.runs

    def read() -> list[dict[str, object]]:
        run = runs.get(name)
        return [event.to_json() for event in runs.events(run.id, after=after, limit=limit, newest=True)]

    return Json({"events": await anyio.to_thread.run_sync(read)})


@router.get("/runs/{name}/events", response_class=StreamingResponse)
async def follow(
    name: RunId,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header(pattern=r"^\d{1,18}$")] = None,
) -> StreamingResponse:
    """Stream server-sent events until the run ends: `log` per line (resume after its `id`), `run` for progress."""
    runs = services.site.runs.runs
    run = await anyio.to_thread.run_sync(runs.get, name)
    return StreamingResponse(
        _events(runs, run.id, after=int(last_event_id or 0)),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@router.post("/runs/{name}/cancel")
async def cancel(name: RunId, body: Reason, services: ServicesDep) -> Json:
    """Cancel a run, which stops within seconds and keeps its finished stages. 409: it has ended."""
    await anyio.to_thread.run_sync(services.site.make_room)
    request = partial(services.site.runs.cancel, name, reason=body.reason)
    return Json((await anyio.to_thread.run_sync(request)).to_json())


@router.post("/runs/{name}/resume", status_code=202)
async def resume(name: RunId, body: Reason, services: ServicesDep) -> Json:
    """Resume a failed or cancelled run. 409: it is neither, or its project has another active run."""
    request = partial(services.site.runs.resume, name, reason=body.reason)
    started = await anyio.to_thread.run_sync(request)
    return Json({"run": started.run} | ({"waits": started.problem} if started.problem else {}), 202)


async def _events(runs: Runs, name: str, *, after: int) -> AsyncIterator[bytes]:
    sent, silence = b"", 0.0
    while True:
        # The run is read before its events, so that no event before its end is missed.
        run: Run = await anyio.to_thread.run_sync(runs.get, name)
        lines = await anyio.to_thread.run_sync(partial(runs.events, name, after=after, limit=MAX_LINES))
        for line in lines:
            after = line.id
            yield b"id: %d\nevent: log\ndata: %b\n\n" % (line.id, orjson.dumps(line.to_json()))
        state = orjson.dumps({**run.to_json(), "heartbeat_at": None, "seconds_left": None})
        if state != sent:
            sent, silence = state, 0.0
            yield b"event: run\ndata: %b\n\n" % orjson.dumps(run.to_json())
        if not run.active and len(lines) < MAX_LINES:
            return
        silence += POLL_SECONDS
        if silence >= KEEP_ALIVE_SECONDS:
            silence = 0.0
            yield b": still here\n\n"
        await anyio.sleep(POLL_SECONDS)
