"""One task in, one prediction out. No HTTP here."""

from __future__ import annotations

import structlog

from backend.model_host import Loaded
from backend.no_prediction import Prediction, nothing
from backend.schemas import Task
from backend.services import Services
from mammo.errors import StorageUnavailable
from mammo.labelstudio import ControlTags, prediction
from mammo.task_images import of_task

log = structlog.get_logger()


def prelabel_task(
    task: Task, *, project: int | None, tags: ControlTags, loaded: Loaded, services: Services
) -> Prediction:
    """What the model says of a task: what it said before if we kept that, else now.

    Never raises: one task must not take the predictions of the others with it. An image that cannot be read gives an
    empty result with the lowest score, and its reason in the log.
    """
    project = task.project if project is None else project
    try:
        kept = _kept(task, project=project, tags=tags, version=loaded.version, services=services)
        if kept is not None:
            services.metrics.predictions.labels(outcome="stored").inc()
            return kept
        with services.metrics.predict_seconds.labels(kind="prelabel").time():
            mammogram = services.images.open(of_task(task.id, task.data))
            threshold = None if project is None else services.settings.thresholds.get(project)
            findings = loaded.prelabeller.prelabel(mammogram, threshold=threshold)
            made = prediction(findings, size=mammogram.size, tags=tags, model_version=loaded.version)
    except (
        Exception
    ) as error:  # a fault in one image's decoding must not cost the other tasks their predictions
        return nothing(error, task=task, loaded=loaded, metrics=services.metrics)
    services.metrics.predictions.labels(outcome="predicted").inc()
    if task.id is not None and project is not None:
        try:
            services.store.record_prelabel(
                project=project,
                task=task.id,
                model_version=loaded.version,
                regions=made["result"],
                score=made["score"],
                image_sha256=mammogram.sha256,
            )
        except StorageUnavailable as error:
            log.warning("a prelabel is not kept", task=task.id, project=project, code=error.code)
    return made


def _kept(
    task: Task, *, project: int | None, tags: ControlTags, version: str, services: Services
) -> Prediction | None:
    """The prediction that this version made before, if it is of the same image and fits the project's controls."""
    if task.id is None or project is None:
        return None
    try:
        kept = services.store.prelabel(project, task.id, version)
    except StorageUnavailable as error:
        log.warning("kept prelabels cannot be read", task=task.id, project=project, code=error.code)
        return None
    if kept is None or task.data.get("sha256", kept.image_sha256) != kept.image_sha256:
        return None
    if not tags.fit(kept.regions):
        return None
    return {"result": kept.regions, "score": kept.score, "model_version": version}
