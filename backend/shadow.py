"""Shadow: a challenger looks at the tasks that the champion was asked for, and nobody is given what it says.

It works after the answer went out, on a thread of the lowest priority that begins nothing while a request is open.
Its findings are stored as a silent prediction, which `mammo.efforts.shadow_comparison` compares; errors are counted and
logged.
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
"""Its threads, and those that the networks start for it, run when nobody else wants the processor."""


class Shadow:
    """Follows the requests of one backend; does nothing without a model."""

    def __init__(self, services: Services, model: ShadowModel | None) -> None:
        self._services = services
        # What a shadow fails at must not look like predictions that annotators did not get.
        self._apart = replace(services, metrics=Metrics())
        self._model = model
        self.backlog = Backlog(name="shadow", niceness=LOWEST_PRIORITY)

    def request(self) -> AbstractContextManager[None]:
        """While this is open nothing is begun."""
        return self.backlog.request()

    async def follow(
        self, tasks: Iterable[Task], *, project: int | None, config: str | None, serving: str
    ) -> None:
        """Look at these tasks when there is time. Projects that are pinned to a version are left alone."""
        if self._model is None:
            return
        for task in tasks:
            of = task.project if project is None else project
            if task.id is not None and of is not None and of not in self._services.settings.pinned_models:
                work = partial(self._look, task, project, config, serving)
                self.backlog.add((of, task.id), work)

    def _look(self, task: Task, project: int | None, config: str | None, serving: str) -> None:
        loaded = self._model.beside(serving) if self._model else None
        if loaded is None:
            return
        work = Prelabelling(project=project, config=config, loaded=loaded, services=self._apart)
        if work.kept(task, shown=False) is not None:
            return
        outcome = "failed" if work.predict(task, shown=False).get("reason") else "predicted"
        self._services.metrics.shadow.labels(outcome=outcome).inc()
