"""`/predict` (step 6 of the walk): one result per task, in order and of one model version; or an answer to a click.

A result is a prediction. If the prelabel of a task is withheld, it is an empty list, which Label Studio does not store
(an empty prediction would mean that nothing was found). The task is then predicted silently after the response.

Images are downloaded before a place of the networks is taken, and clicks do not wait for tasks.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from starlette.background import BackgroundTask
from starlette.datastructures import State

from backend.answers import Json
from backend.batch import Batch, Result
from backend.dependencies import ServicesDep
from backend.model_host import Loaded
from backend.no_prediction import Prediction, failed
from backend.prelabelling import Prelabelling
from backend.schemas import PredictRequest, Task, json_body
from backend.services import Images, Services
from backend.suggestions import clicked_image

router = APIRouter()


@router.post("/predict", openapi_extra=json_body(PredictRequest.model_json_schema()))
async def predict(request: Request, services: ServicesDep) -> Json:
    body = await anyio.to_thread.run_sync(PredictRequest.read, await request.body())
    loaded = services.host.current(body.project_id)
    work = Prelabelling(project=body.project_id, config=body.label_config, loaded=loaded, services=services)
    state = request.app.state
    with state.backlog.request(), state.shadow.request():
        if body.context is None:
            results = await _prelabel(body.tasks, work, state, services)
            # Starlette runs this after the response has been sent.
            followed = BackgroundTask(
                state.shadow.follow,
                [task for task, result in zip(body.tasks, results, strict=True) if not _failed(result)],
                project=body.project_id,
                config=body.label_config,
                serving=loaded.version,
            )
            return Json({"results": results}, background=followed)
        if len(body.tasks) != 1:
            raise HTTPException(422, f"a click is on exactly one task, got {len(body.tasks)}")
        suggestion = await _suggest(body.tasks[0], body.context.result, work, loaded, state, services)
        return Json({"results": [suggestion]})


async def _prelabel(tasks: list[Task], work: Prelabelling, state: State, services: Services) -> list[Result]:
    """Predict what fits into the time that Label Studio waits; the rest is predicted afterwards, for its next call."""
    batch = Batch(tasks, work, workplace=state.workplace, seconds=services.settings.predict_seconds)
    results = await batch.results()
    if len(tasks) == 1 and not _failed(results[0]):
        # An annotator opens this task: open its images before the first click.
        state.backlog.add("opened", partial(_open, work, tasks[0], state.recent_images))
    return results


async def _suggest(
    task: Task,
    regions: list[dict[str, Any]],
    work: Prelabelling,
    loaded: Loaded,
    state: State,
    services: Services,
) -> Prediction:
    """Answer a click. Its image is downloaded within the time of one request."""
    deadline = time.monotonic() + services.settings.predict_seconds
    try:
        described = clicked_image(task, regions, tags=work.tags)
        images = await state.click_images.fetch([described], deadline=deadline)
    except Exception as error:  # the browser waits for a response
        return failed(error, task=task, loaded=loaded, metrics=services.metrics, tags=None)
    with images:
        suggest = partial(
            state.suggestions.suggest,
            task,
            regions,
            tags=work.tags,
            config=work.config,
            loaded=loaded,
            images=images,
        )
        suggestion: Prediction = await anyio.to_thread.run_sync(suggest, limiter=state.click_limiter)
    return suggestion


def _open(work: Prelabelling, task: Task, images: Images) -> None:
    for described in work.images(task):
        images.open(described)


def _failed(result: Result) -> bool:
    return isinstance(result, dict) and bool(result.get("reason"))
