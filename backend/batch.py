"""Batch: the tasks of one `/predict`. While one task is predicted, the images of the next ones are downloaded.

A task whose image is slow is overtaken by the others. Tasks of all requests are predicted one at a time, so that a
single opened task waits for one task of a batch, not for the whole batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from anyio.streams.memory import MemoryObjectSendStream

from backend.backlog import Backlog
from backend.image_fetcher import ImageFetcher, LocalImages
from backend.metrics import Metrics
from backend.no_prediction import Prediction
from backend.prelabelling import Prelabelling
from backend.schemas import Task
from mammo.errors import ImageUnavailable

AHEAD = 4
"""Tasks of one request whose images are downloaded or wait to be predicted."""

Result = Prediction | list[Prediction]
"""A prediction, or an empty list for a task whose prelabel is withheld."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What all requests share."""

    fetcher: ImageFetcher
    places: CapacityLimiter
    """Places of the networks."""

    backlog: Backlog
    metrics: Metrics


class Batch:
    """Predicts the tasks of one request, as many as its time allows; the others are predicted after it."""

    def __init__(
        self, tasks: Sequence[Task], work: Prelabelling, *, workplace: Workplace, seconds: float
    ) -> None:
        """
        Args:
            seconds: time for all tasks.
        """
        self._tasks = tasks
        self._work = work
        self._workplace = workplace
        self._deadline = time.monotonic() + seconds
        self._results: list[Result] = [[] for _ in tasks]
        self._ahead = anyio.Semaphore(AHEAD)

    async def results(self) -> list[Result]:
        """Return one result per task, in order. Never raises for a task that cannot be predicted."""
        send, receive = anyio.create_memory_object_stream[tuple[int, LocalImages]](math.inf)
        async with anyio.create_task_group() as group, receive:
            group.start_soon(self._prepare, send)
            async for number, images in receive:
                with images:
                    self._results[number] = await self._predict(self._tasks[number], images)
                self._ahead.release()
        return self._results

    async def _prepare(self, ready: MemoryObjectSendStream[tuple[int, LocalImages]]) -> None:
        """Answer the tasks that need no prediction, and download the images of the others."""
        async with ready, anyio.create_task_group() as group:
            for number, task in enumerate(self._tasks):
                known = await self._known(task)
                if known is not None:
                    self._results[number] = known
                    continue
                await self._ahead.acquire()
                group.start_soon(self._fetch, number, ready)

    async def _known(self, task: Task) -> Result | None:
        """Return the result of a task that is withheld or stored; None for one that is to be predicted."""
        if await anyio.to_thread.run_sync(self._work.withheld, task):
            self._workplace.metrics.predictions.labels(outcome="withheld").inc()
            self._later(task, partial(predict_silently, self._work, task))
            return []
        return await anyio.to_thread.run_sync(partial(self._work.stored, task, shown=True))

    async def _fetch(self, number: int, ready: MemoryObjectSendStream[tuple[int, LocalImages]]) -> None:
        task = self._tasks[number]
        try:
            if self._is_late:
                self._results[number] = self._out_of_time(task)
            else:
                described = self._work.images(task)
                images = await self._workplace.fetcher.fetch(described, deadline=self._deadline)
                ready.send_nowait((number, images))
                return
        except Exception as error:  # one task must not cost the others their predictions
            is_our_deadline = isinstance(error, ImageUnavailable) and self._is_late
            self._results[number] = (
                self._out_of_time(task) if is_our_deadline else self._work.failed(task, error)
            )
        self._ahead.release()

    async def _predict(self, task: Task, images: LocalImages) -> Prediction:
        predict = partial(self._work.predict, task, images=images, deadline=self._deadline, shown=True)
        prediction: Prediction | None = None
        with anyio.move_on_after(self._deadline - time.monotonic()):  # ends the wait for a place
            prediction = await anyio.to_thread.run_sync(predict, limiter=self._workplace.places)
        return self._out_of_time(task) if prediction is None else prediction

    @property
    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _out_of_time(self, task: Task) -> Prediction:
        """Return a prediction for lack of time, and predict the task after the response, for the next request."""
        self._later(task, partial(self._work.predict, task, shown=False))  # it is not shown yet
        return self._work.out_of_time()

    def _later(self, task: Task, work: Any) -> None:
        self._workplace.backlog.add(("task", task.project, task.id), work)


def predict_silently(work: Prelabelling, task: Task) -> None:
    """Store the prediction of a task whose prelabel is withheld, unless it is stored already."""
    if work.stored(task, shown=False) is None:
        work.predict(task, shown=False)
