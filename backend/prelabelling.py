"""One task in, one prediction out; and what a click of a smart tool asks for. No HTTP here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from backend.logs import where
from backend.model_host import Loaded
from backend.schemas import Task
from backend.services import Images, Services
from mammo.errors import InvalidRegion, MammoError, StorageUnavailable
from mammo.geometry import Box, Point, Size
from mammo.labelstudio import ControlTags, prediction
from mammo.labelstudio.regions import box_of, brush_region, is_cluster, point_of, size_of
from mammo.task_images import of_task

UNREADABLE_SCORE = 0.0
"""Score of a task whose image cannot be read: it is the first that a person should look at."""

log = structlog.get_logger()

Prediction = dict[str, Any]


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
        return _nothing(error, task=task, loaded=loaded, services=services)
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


@dataclass(frozen=True, kw_only=True)
class Click:
    """What an expert pointed at, in pixels of the image he sees."""

    size: Size
    box: Box | None = None
    positive: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()


def read_click(regions: Sequence[Mapping[str, Any]]) -> Click:
    """Understand the context of a smart tool: the newest region is last and decides.

    Key points made by a smart tool say `is_positive`; prelabelled or plain ones beside them do not, and are no
    prompts. A rectangle carries no mark at all: only the newest one counts.

    Raises:
        InvalidRegion: nothing to go by.
    """
    if not regions:
        raise InvalidRegion("a click without a region")
    newest = regions[-1]
    size = size_of(newest)
    if newest.get("type") == "rectanglelabels":
        return Click(size=size, box=box_of(newest))
    if newest.get("type") != "keypointlabels":
        raise InvalidRegion(f"a prompt is a key point or a rectangle, got {newest.get('type')!r}")
    points = [
        r for r in regions if r.get("type") == "keypointlabels" and isinstance(r.get("is_positive"), bool)
    ]
    if any(size_of(point) != size for point in points):
        raise InvalidRegion("the points of one click are on images of different sizes")
    positive = tuple(point_of(point) for point in points if point["is_positive"] and is_cluster(point))
    negative = tuple(point_of(point) for point in points if not point["is_positive"] and is_cluster(point))
    if not positive:
        raise InvalidRegion(
            "only points that are not the lesion; click the lesion first, then Alt + click the rest"
        )
    return Click(size=size, positive=positive, negative=negative)


def suggest(
    task: Task,
    regions: Sequence[Mapping[str, Any]],
    *,
    tags: ControlTags,
    loaded: Loaded,
    images: Images,
    services: Services,
) -> Prediction:
    """One brush region under an expert's clicks; empty when the model sees nothing there. Never raises."""
    try:
        with services.metrics.predict_seconds.labels(kind="click").time():
            if tags.brush is None:
                raise InvalidRegion("suggestions need a BrushLabels control", code="labeling_config")
            click = read_click(regions)
            mammogram = images.open(of_task(task.id, task.data))
            if mammogram.size != click.size:
                raise InvalidRegion(
                    f"the image on the screen has {click.size} pixels, the mammogram {mammogram.size}",
                    code="size_mismatch",
                )
            finding = loaded.prelabeller.segment(mammogram, click.box, click.positive, click.negative)
            result = []
            if finding and finding.mask:
                # A new id every time: a suggestion with the id of an earlier one would replace it.
                region = brush_region(
                    finding.mask,
                    score=finding.score,
                    size=mammogram.size,
                    tags=tags,
                    meta={"model_version": loaded.version, "prompt": "box" if click.box else "points"},
                    region_id=uuid.uuid4().hex[:10],
                )
                result.append(region)
    except Exception as error:  # the browser waits for an answer, and a suggestion is only that
        return _nothing(error, task=task, loaded=loaded, services=services)
    services.metrics.predictions.labels(outcome="suggested").inc()
    score = finding.score if finding else UNREADABLE_SCORE
    return {"result": result, "score": score, "model_version": loaded.version}


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


def _nothing(error: Exception, *, task: Task, loaded: Loaded, services: Services) -> Prediction:
    if isinstance(error, MammoError):
        services.metrics.predictions.labels(outcome="unreadable").inc()
        log.warning("no prediction for a task", task=task.id, project=task.project, code=error.code)
    else:
        services.metrics.predictions.labels(outcome="failed").inc()
        log.error(
            "a prediction failed",
            task=task.id,
            project=task.project,
            error=type(error).__name__,
            where=where(error),
        )
    return {"result": [], "score": UNREADABLE_SCORE, "model_version": loaded.version}
