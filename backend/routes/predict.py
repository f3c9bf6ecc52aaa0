"""`/predict` (step 6 of the walk): one result per task, in order and of one model version; or an answer to a click.

A result is a prediction. If the prelabel of a task is withheld, it is an empty list, which Label Studio does not store
(an empty prediction would mean that nothing was found). The task is then predicted silently after the response.

Tasks of all requests are predicted one at a time, so that a single opened task waits for one task of a batch, not for
the whole batch. Clicks do not wait for tasks.
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
from backend.dependencies import ServicesDep
from backend.prelabelling import Prelabelling
from backend.schemas import PredictRequest, Task, json_body
from backend.services import Images, Services
from mammo.images.task_images import of_task

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
        suggest = state.suggestions.suggest
        click = partial(
            suggest, body.tasks[0], body.context.result, tags=work.tags, config=work.config, loaded=loaded
        )
        suggestion = await anyio.to_thread.run_sync(click, limiter=state.click_limiter)
        return Json({"results": [suggestion]})


async def _prelabel(
    tasks: list[Task], work: Prelabelling, state: State, services: Services
) -> list[dict[str, Any] | list[dict[str, Any]]]:
    """Predict what fits into the time that Label Studio waits; the rest is predicted afterwards, for its next call."""
    deadline = time.monotonic() + services.settings.predict_seconds
    results: list[dict[str, Any] | list[dict[str, Any]]] = []
    for task in tasks:
        if await anyio.to_thread.run_sync(work.withheld, task):
            services.metrics.predictions.labels(outcome="withheld").inc()
            state.backlog.add(("task", task.project, task.id), partial(predict_silently, work, task))
            results.append([])
            continue
        stored = await anyio.to_thread.run_sync(partial(work.stored, task, shown=True))
        if stored is not None:
            results.append(stored)
            continue
        prediction = await anyio.to_thread.run_sync(
            partial(work.predict, task, deadline=deadline, shown=True), limiter=state.task_limiter
        )
        if prediction.get("reason") == "out_of_time":
            silently = partial(work.predict, task, shown=False)  # it is not shown yet
            state.backlog.add(("task", task.project, task.id), silently)
        results.append(prediction)
    if len(tasks) == 1 and not _failed(results[0]):
        # An annotator opens this task: open its images before the first click.
        state.backlog.add("opened", partial(_open, work, tasks[0], state.recent_images))
    return results


def _open(work: Prelabelling, task: Task, images: Images) -> None:
    for on_image in work.tags.on(task.data):
        images.open(of_task(task.id, task.data, tags=on_image))


def _failed(result: dict[str, Any] | list[dict[str, Any]]) -> bool:
    return isinstance(result, dict) and bool(result.get("reason"))


def predict_silently(work: Prelabelling, task: Task) -> None:
    """Store the prediction of a task whose prelabel is withheld, unless it is stored already."""
    if work.stored(task, shown=False) is None:
        work.predict(task, shown=False)
