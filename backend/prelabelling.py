"""Prelabelling of single tasks, without HTTP."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import structlog

from backend.image_fetcher import LocalImages
from backend.model_host import Loaded
from backend.no_prediction import Prediction, failed, out_of_time
from backend.schemas import Task
from backend.services import Services
from mammo.errors import StorageUnavailable
from mammo.labelstudio import labeling_config
from mammo.labelstudio.predictions import suspicion
from mammo.prelabelling import TaskPrelabeller

log = structlog.get_logger()


class Prelabelling:
    """Prelabels the tasks of one request: one project, one labeling config, one model version."""

    def __init__(
        self, *, project: int | None, config: str | None, loaded: Loaded, services: Services
    ) -> None:
        """
        Args:
            config: the project's labeling config; None: the built-in one.

        Raises:
            InvalidRegion: the config has no control that the model can fill.
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
            news=self._news(),
            words=services.site.word_head(project),
        )
        self.tags = self._tasks.tags

    def withheld(self, task: Task) -> str | None:
        """Return why annotators get no prelabel of a task (`assisted` or `blind`), or None if they get one."""
        project = self._project_of(task)
        if task.id is None or project is None:
            return None
        return self._services.site.withholding(project, task.id, task.data)

    def stored(self, task: Task, *, shown: bool) -> Prediction | None:
        """Return this version's stored prediction of a task, if it is of the same image and fits the config.

        Args:
            shown: whether it goes to annotators, which is then recorded.
        """
        project = self._project_of(task)
        if task.id is None or project is None:
            return None
        try:
            prelabel = self._tasks.recorded(task.id, task.data, project=project)
        except StorageUnavailable as error:
            log.warning("stored prelabels cannot be read", task=task.id, project=project, code=error.code)
            return None
        if prelabel is None:
            return None
        if shown:
            if prelabel.shown_at is None:
                self._show(project, task.id)
            self._services.metrics.predictions.labels(outcome="stored").inc()
        return {
            "result": prelabel.regions,
            "score": suspicion(prelabel.regions),
            "model_version": self._loaded.version,
        }

    def images(self, task: Task) -> list[dict[str, Any]]:
        """Return the data of every image of a task; raises ImageNotFound: the task has no such image."""
        return self._tasks.images_of(task.id, task.data)

    def predict(
        self,
        task: Task,
        *,
        images: LocalImages | None = None,
        deadline: float | None = None,
        shown: bool,
    ) -> Prediction:
        """Predict a task, and store the prediction.

        Never raises, so that one task cannot fail the others. A task whose image cannot be read gets a prediction
        without findings, with the lowest score and an error code.

        Args:
            images: the images of the task; None to fetch them now.
            deadline: by `time.monotonic()`; no task is begun after it.
            shown: whether it goes to annotators; a silent prediction is only stored.
        """
        if deadline is not None and time.monotonic() > deadline:
            return self.out_of_time()
        services, project = self._services, self._project_of(task)
        tasks = self._tasks if images is None else replace(self._tasks, open_image=images.open)
        try:
            with services.metrics.predict_seconds.labels(kind="prelabel").time():
                prelabel = tasks.predict(task.id, task.data, packed=True)
        # A fault in the decoding of one image must not cost the other tasks their predictions.
        except Exception as error:
            return self.failed(task, error)
        services.metrics.predictions.labels(outcome="predicted").inc()
        services.metrics.cut.inc(prelabel.num_cut)
        if task.id is not None and project is not None:
            try:
                self._tasks.record(task.id, prelabel, project=project, shown=shown)
            except StorageUnavailable as error:
                log.warning("a prelabel could not be stored", task=task.id, project=project, code=error.code)
        return prelabel.prediction

    def failed(self, task: Task, error: Exception) -> Prediction:
        """Return the prediction of a task that cannot be predicted."""
        return failed(error, task=task, loaded=self._loaded, metrics=self._services.metrics, tags=self.tags)

    def out_of_time(self) -> Prediction:
        """Return the prediction of a task for which there was no time."""
        return out_of_time(loaded=self._loaded, metrics=self._services.metrics, tags=self.tags)

    def _news(self) -> list[str]:
        """Return the sentences for the note of every image; nothing while the database is away."""
        try:
            return self._services.site.news(self._project, self._loaded.version)
        except StorageUnavailable as error:
            log.warning("notifications cannot be read", project=self._project, code=error.code)
            return []

    def _show(self, project: int, task: int) -> None:
        """Record that annotators see a prediction that was silent until now."""
        try:
            self._services.store.show_prelabel(project, task, self._loaded.version)
        except StorageUnavailable as error:
            log.warning("a shown prelabel could not be recorded", task=task, project=project, code=error.code)

    def _project_of(self, task: Task) -> int | None:
        return task.project if self._project is None else self._project
