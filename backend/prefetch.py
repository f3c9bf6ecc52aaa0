"""Prefetch: new tasks are prelabelled, and upcoming tasks are opened and embedded, before anybody asks for them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from backend.backlog import Backlog
from backend.prelabelling import Prelabelling
from backend.schemas import Task, project_number, read_json
from backend.services import Images, Services
from mammo.errors import MammoError
from mammo.images.task_images import of_task
from mammo.labelstudio.interpretation import from_regions
from mammo.lenient_json import loads

NUM_NEXT = 2
"""Tasks prepared after an annotated one. Label Studio opens the first at once; the second gains from it."""

BY_SCORE = "Uncertainty sampling"
"""Label Studio's name of the sampling that shows tasks with low scores first."""

log = structlog.get_logger()


class Prefetch:
    """Turns events into work for the backlog, and returns at once."""

    def __init__(self, services: Services, *, backlog: Backlog, images: Images) -> None:
        """
        Args:
            images: caches the last images, so that a click finds them open.
        """
        self._services = replace(services, images=images)
        self._backlog = backlog

    def created(self, event: int, body: bytes) -> None:
        """Prelabel the first tasks of a TASKS_CREATED event.

        A worker's job prelabels whole projects; this is for tasks that are opened before the job gets there.
        """
        self._backlog.add(("created", event), partial(self._created, body))

    def annotated(self, project: int, body: bytes) -> None:
        """Prepare the tasks that follow the task of an ANNOTATION_CREATED event."""
        self._backlog.add(("next", project), partial(self._annotated, project, body))

    def _created(self, body: bytes) -> None:
        content = read_json(body, loads=loads)
        project, tasks = content.get("project"), content.get("tasks")
        if isinstance(project, dict) and isinstance(tasks, list):
            self._add(tasks[: self._services.settings.prefetch_tasks], project)

    def _annotated(self, project: int, body: bytes) -> None:
        content = read_json(body, loads=loads)
        described, task = content.get("project"), content.get("task")
        number = task.get("id") if isinstance(task, dict) else None
        label_studio = self._services.site.label_studio
        if not isinstance(described, dict) or not isinstance(number, int) or label_studio is None:
            return
        try:
            by_score = described.get("sampling") == BY_SCORE
            tasks = label_studio.next_tasks(project, number, NUM_NEXT, by_score=by_score)
        except MammoError as error:
            log.info("the next tasks are unknown", project=project, code=error.code)
            return
        self._add(tasks, described)

    def _add(self, tasks: list[Any], project: dict[str, Any]) -> None:
        number, config = project_number(project.get("id")), project.get("label_config")
        for raw in tasks:
            try:
                task = Task.model_validate(raw)
            except ValidationError:
                continue
            prepare = partial(self._prepare, task, number, config if isinstance(config, str) else None)
            self._backlog.add(("task", task.project, task.id), prepare)

    def _prepare(self, task: Task, project: int | None, config: str | None) -> None:
        services = self._services
        try:
            loaded = services.host.current(project)
            work = Prelabelling(project=project, config=config, loaded=loaded, services=services)
            # Not shown yet: `/predict` records that when it returns the prediction.
            stored = work.stored(task, shown=False)
            if stored is None:
                work.predict(task, shown=False)
                return
            for on_image in work.tags.on(task.data):
                mammogram = services.images.open(of_task(task.id, task.data, tags=on_image))
                for finding in from_regions(stored["result"], tags=on_image):
                    # The mask is not used: this fills the cache of embeddings.
                    loaded.prelabeller.answer(mammogram, finding.box, (), ())
        except MammoError as error:
            log.info("a task could not be prepared", task=task.id, project=project, code=error.code)
