"""`/predict`: N tasks in, exactly N predictions out, in order and of one model version; or one click, one suggestion.

Tasks are worked on one after another over all requests, so that someone who opens a single task waits for one
task of a batch and not for its end. Clicks do not queue behind tasks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Depends, HTTPException, Request

from backend.answers import Json
from backend.auth import require_basic
from backend.dependencies import ServicesDep
from backend.prelabelling import prelabel_task
from backend.schemas import PredictRequest
from mammo.labelstudio import ControlTags

router = APIRouter(dependencies=[Depends(require_basic)])


@router.post("/predict")
async def predict(request: Request, services: ServicesDep) -> Json:
    loaded = services.host.current()
    body = await anyio.to_thread.run_sync(PredictRequest.read, await request.body())
    tags = ControlTags() if body.label_config is None else ControlTags.read(body.label_config)
    state = request.app.state
    results: list[dict[str, Any]] = []
    if body.context is not None:
        if len(body.tasks) != 1:
            raise HTTPException(422, "a click is on one task")
        suggest = state.suggestions.suggest
        click = partial(suggest, body.tasks[0], body.context.result, tags=tags, loaded=loaded)
        results.append(await anyio.to_thread.run_sync(click, limiter=state.click_places))
    else:
        for task in body.tasks:
            work = partial(
                prelabel_task, task, project=body.project_id, tags=tags, loaded=loaded, services=services
            )
            results.append(await anyio.to_thread.run_sync(work, limiter=state.task_places))
    return Json({"results": results})
