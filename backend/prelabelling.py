"""One task in, one prediction out. No HTTP here."""

from __future__ import annotations

import time

import structlog

from backend.model_host import Loaded
from backend.no_prediction import Prediction, nothing, out_of_time
from backend.schemas import Task
from backend.services import Services
from mammo.errors import StorageUnavailable
from mammo.labelstudio import ControlTags, labeling_config, prediction
from mammo.labelstudio.prediction_check import require_valid
from mammo.task_images import of_task

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
        self.tags = ControlTags() if config is None else ControlTags.read(config)
        self._loaded = loaded
        self._services = services

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
            kept = self._services.store.prelabel(project, task.id, self._loaded.version)
        except StorageUnavailable as error:
            log.warning("kept prelabels cannot be read", task=task.id, project=project, code=error.code)
            return None
        if kept is None or task.data.get("sha256", kept.image_sha256) != kept.image_sha256:
            return None
        if not self._drawn(project).fit(kept.regions):
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
        services, version, project = self._services, self._loaded.version, self._project_of(task)
        try:
            with services.metrics.predict_seconds.labels(kind="prelabel").time():
                mammogram = services.images.open(of_task(task.id, task.data))
                threshold = None if project is None else services.settings.thresholds.get(project)
                findings = self._loaded.prelabeller.prelabel(mammogram, threshold=threshold)
                tags = self._drawn(project)
                made = prediction(
                    findings, size=mammogram.size, tags=tags, model_version=version, packed=True
                )
                require_valid(made, config=self.config)
        except (
            Exception
        ) as error:  # a fault in one image's decoding must not cost the other tasks their predictions
            return nothing(error, task=task, loaded=self._loaded, metrics=services.metrics, tags=self.tags)
        services.metrics.predictions.labels(outcome="predicted").inc()
        if task.id is not None and project is not None:
            try:
                services.store.record_prelabel(
                    project=project,
                    task=task.id,
                    model_version=version,
                    regions=made["result"],
                    score=made["score"],
                    image_sha256=mammogram.sha256,
                    shown=shown,
                )
            except StorageUnavailable as error:
                log.warning("a prelabel is not kept", task=task.id, project=project, code=error.code)
        return made

    def _show(self, project: int, task: int) -> None:
        """Write down that annotators see from now on what was silent."""
        try:
            self._services.store.show_prelabel(project, task, self._loaded.version)
        except StorageUnavailable as error:
            log.warning("that a prelabel is shown is not kept", task=task, project=project, code=error.code)

    def _drawn(self, project: int | None) -> ControlTags:
        """The controls that are filled: a project may ask for polygons in place of the brush."""
        return self.tags.outlined() if project in self._services.settings.outlined_projects else self.tags

    def _project_of(self, task: Task) -> int | None:
        return task.project if self._project is None else self._project
