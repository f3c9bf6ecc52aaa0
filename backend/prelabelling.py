"""One task in, one prediction out. No HTTP here."""

from __future__ import annotations

import time

import structlog

from backend.model_host import Loaded
from backend.no_prediction import Prediction, nothing, out_of_time
from backend.schemas import Task
from backend.services import Services
from mammo.errors import StorageUnavailable
from mammo.labelstudio import labeling_config
from mammo.prelabelling import TaskPrelabeller

log = structlog.get_logger()


class Prelabelling:
    """The tasks of one request: one project, one labeling config, one model version."""

    def __init__(
        self, *, project: int | None, config: str | None, loaded: Loaded, services: Services
    ) -> None:
        """
        Args:
            config: the project's labeling config; None takes that of the projects we make.

        Raises:
            InvalidRegion: the model can fill none of the config's controls.
        """
        self._project = project
        self.config = config or labeling_config()
        self._loaded = loaded
        self._services = services
        self._tasks = TaskPrelabeller.of(
            loaded.prelabeller,
            project=project,
            config=self.config,
            settings=services.settings,
            open_image=services.images.open,
            store=services.store,
        )
        self.tags = self._tasks.tags

    def withheld(self, task: Task) -> str | None:
        """Why annotators get no prelabel of this task: `assisted`, `blind`; None: they get one."""
        project = self._project_of(task)
        if task.id is None or project is None:
            return None
        return self._services.withheld(project, task.id, task.data)

    def kept(self, task: Task, *, shown: bool) -> Prediction | None:
        """What this version said of a task before, if it is of the same image and fits the project's controls.

        Args:
            shown: it is for annotators, and they have seen it from now on.
        """
        project = self._project_of(task)
        if task.id is None or project is None:
            return None
        try:
            kept = self._tasks.recorded(task.id, task.data, project=project)
        except StorageUnavailable as error:
            log.warning("kept prelabels cannot be read", task=task.id, project=project, code=error.code)
            return None
        if kept is None:
            return None
        if shown:
            if kept.shown_at is None:
                self._show(project, task.id)
            self._services.metrics.predictions.labels(outcome="stored").inc()
        return {"result": kept.regions, "score": kept.score, "model_version": self._loaded.version}

    def predict(self, task: Task, *, until: float | None = None, shown: bool) -> Prediction:
        """What the model says of a task.

        Never raises: one task must not take the predictions of the others with it. An image that cannot be read gives
        a result without findings, with the lowest score and the code of its reason.

        Args:
            until: `time.monotonic()` after which no more is begun.
            shown: it is for annotators; a silent prediction is only kept.
        """
        if until is not None and time.monotonic() > until:
            return out_of_time(loaded=self._loaded, metrics=self._services.metrics, tags=self.tags)
        services, project = self._services, self._project_of(task)
        try:
            with services.metrics.predict_seconds.labels(kind="prelabel").time():
                made, images = self._tasks.predict(task.id, task.data, packed=True)
        # A fault in the decoding of one image must not cost the other tasks their predictions.
        except Exception as error:
            return nothing(error, task=task, loaded=self._loaded, metrics=services.metrics, tags=self.tags)
        services.metrics.predictions.labels(outcome="predicted").inc()
        if task.id is not None and project is not None:
            try:
                self._tasks.record(task.id, made, images, project=project, shown=shown)
            except StorageUnavailable as error:
                log.warning("a prelabel is not kept", task=task.id, project=project, code=error.code)
        return made

    def _show(self, project: int, task: int) -> None:
        """Write down that annotators see from now on what was silent."""
        try:
            self._services.store.show_prelabel(project, task, self._loaded.version)
        except StorageUnavailable as error:
            log.warning("that a prelabel is shown is not kept", task=task, project=project, code=error.code)

    def _project_of(self, task: Task) -> int | None:
        return task.project if self._project is None else self._project
