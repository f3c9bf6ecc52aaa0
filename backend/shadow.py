"""Shadow: predicts the tasks of every request with a challenger as well, without showing the predictions.

It works after the response, in a thread of the lowest priority that begins nothing during a request. Its predictions
are stored as silent ones, and compared by `mammo.efforts.shadow_comparison`. Errors are counted and logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from backend.backlog import Backlog
from backend.metrics import Metrics
from backend.prelabelling import Prelabelling
from backend.schemas import Task
from backend.services import Services
from backend.shadow_model import ShadowModel

LOWEST_PRIORITY = 19
"""Niceness of its thread and of those that the networks start for it."""


class Shadow:
    """Follows the requests of one backend. Without a model it does nothing."""

    def __init__(self, services: Services, model: ShadowModel | None) -> None:
        self._services = services
        # Separate metrics, because a failure of the shadow is not one that annotators see.
        self._own_services = replace(services, metrics=Metrics())
        self._model = model
        self.backlog = Backlog(name="shadow", niceness=LOWEST_PRIORITY)

    def request(self) -> AbstractContextManager[None]:
        """Begin no prediction during the block."""
        return self.backlog.request()

    async def follow(
        self, tasks: Iterable[Task], *, project: int | None, config: str | None, serving: str
    ) -> None:
        """Queue these tasks for prediction. Projects with a model of their own are skipped."""
        if self._model is None:
            return
        own = self._services.host.own_models
        for task in tasks:
            task_project = task.project if project is None else project
            if task.id is None or task_project is None:
                continue
            if task_project not in own:
                work = partial(self._predict, task, project, config, serving)
                self.backlog.add((task_project, task.id), work)

    def _predict(self, task: Task, project: int | None, config: str | None, serving: str) -> None:
        loaded = self._model.beside(serving) if self._model else None
        if loaded is None:
            return
        work = Prelabelling(project=project, config=config, loaded=loaded, services=self._own_services)
        if work.stored(task, shown=False) is not None:
            return
        outcome = "failed" if work.predict(task, shown=False).get("reason") else "predicted"
        self._services.metrics.shadow.labels(outcome=outcome).inc()
