"""Tasks are made ready before anybody opens them: new ones are prelabelled, the next ones are opened and embedded."""

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

NEXT = 2
"""Tasks after the annotated one: Label Studio opens the first at once, so it is the second that has the time."""

BY_SCORE = "Uncertainty sampling"

log = structlog.get_logger()


class Prefetch:
    """What events say about the tasks to come, as work for the backlog. Does nothing while it is told of them."""

    def __init__(self, services: Services, *, backlog: Backlog, images: Images) -> None:
        """
        Args:
            images: remembers the last images, so that a click finds them open.
        """
        self._services = replace(services, images=images)
        self._backlog = backlog

    def created(self, event: int, body: bytes) -> None:
        """The first tasks of a TASKS_CREATED event get their prelabels.

        A worker's job prelabels whole projects; this is for the few that an annotator opens before it gets there.
        """
        self._backlog.add(("created", event), partial(self._created, body))

    def annotated(self, project: int, body: bytes) -> None:
        """After an ANNOTATION_CREATED event: whoever sent it goes on with the next task."""
        self._backlog.add(("next", project), partial(self._annotated, project, body))

    def _created(self, body: bytes) -> None:
        content = read_json(body)
        project, tasks = content.get("project"), content.get("tasks")
        if isinstance(project, dict) and isinstance(tasks, list):
            self._add(tasks[: self._services.settings.prefetch_tasks], project)

    def _annotated(self, project: int, body: bytes) -> None:
        content = read_json(body)
        described, task = content.get("project"), content.get("task")
        number = task.get("id") if isinstance(task, dict) else None
        if not isinstance(described, dict) or not isinstance(number, int):
            return
        try:
            by_score = described.get("sampling") == BY_SCORE
            tasks = self._services.next_tasks(project, number, NEXT, by_score=by_score)
        except MammoError as error:
            log.info("the next tasks are not known", project=project, code=error.code)
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
            kept = work.kept(
                task, shown=False
            )  # nobody has seen it yet: `/predict` says so when it hands it out
            if kept is None:
                work.predict(task, shown=False)
                return
            for on_image in work.tags.on(task.data):
                mammogram = services.images.open(of_task(task.id, task.data, tags=on_image))
                for finding in from_regions(kept["result"], tags=on_image):
                    loaded.prelabeller.answer(
                        mammogram, finding.box, (), ()
                    )  # what matters is what it embeds
        except MammoError as error:
            log.info("a task is not prepared", task=task.id, project=project, code=error.code)
