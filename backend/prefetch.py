"""New tasks are prelabelled before anybody opens them; embeddings of what the model finds are then warm, too."""

from __future__ import annotations

from functools import partial

import structlog
from pydantic import ValidationError

from backend.backlog import Backlog
from backend.prelabelling import Prelabelling
from backend.schemas import Task, project_number, read_json
from backend.services import Services
from mammo.errors import MammoError

log = structlog.get_logger()


def prefetch(body: bytes, *, services: Services, backlog: Backlog) -> None:
    """Put the first tasks of a TASKS_CREATED event on the backlog.

    A worker's job prelabels whole projects; this is for the few that an annotator opens before it gets there.
    """
    content = read_json(body)
    project, tasks = content.get("project"), content.get("tasks")
    if not isinstance(project, dict) or not isinstance(tasks, list):
        return
    number, config = project_number(project.get("id")), project.get("label_config")
    for raw in tasks[: services.settings.prefetch_tasks]:
        try:
            task = Task.model_validate(raw)
        except ValidationError:
            continue
        prepare = partial(
            _prepare, task, number, config if isinstance(config, str) else None, services=services
        )
        backlog.add(("task", task.project, task.id), prepare)


def _prepare(task: Task, project: int | None, config: str | None, *, services: Services) -> None:
    try:
        loaded = services.host.current(project)
        work = Prelabelling(project=project, config=config, loaded=loaded, services=services)
    except MammoError as error:
        log.info("a new task is not prepared", task=task.id, project=project, code=error.code)
        return
    if work.kept(task) is None:
        work.predict(task)
