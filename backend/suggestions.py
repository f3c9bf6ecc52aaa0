"""Suggestions: clicks become masks, each refining the mask of the previous clicks.

The mask for clicks 1..n is defined as the one decoded for all of them from the logits for clicks 1..n-1. The cache only
saves decoding: the same clicks give the same mask, whatever was requested in between.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from backend.click import Click, image_of_click, read_click
from backend.image_fetcher import LocalImages
from backend.model_host import Loaded
from backend.no_prediction import Prediction, failed
from backend.refining import Refined, Refining, Target, refine
from backend.schemas import DRAWN, Task
from backend.services import Services
from mammo.dicom import Mammogram
from mammo.errors import InvalidRegion
from mammo.geometry import ASSUMED_SPACING
from mammo.images.task_images import of_task
from mammo.labelstudio import ControlTags
from mammo.labelstudio.drawn_findings import drawn_findings
from mammo.labelstudio.prediction_check import require_valid
from mammo.labelstudio.regions import brush_region, score_of
from mammo.labelstudio.replacing import outline_region, replacement

if TYPE_CHECKING:
    from mammo.pipeline import Prelabeller  # imports torch
    from mammo.segmenter import Segmentation

MAX_SEGMENTATIONS = 128
"""Cached segmentations; each holds logits of at most 256 kB."""

Key = tuple[str, str, Click]
"""Model version, SHA-256 of the image, and clicks."""


class Suggestions:
    """Answers the clicks of one backend's annotators. Safe to share between threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._cache: LRUCache[Key, Segmentation] = LRUCache(MAX_SEGMENTATIONS)
        self._refining = Refining()

    def suggest(
        self,
        task: Task,
        regions: Sequence[Mapping[str, Any]],
        *,
        tags: ControlTags,
        config: str,
        loaded: Loaded,
        images: LocalImages,
    ) -> Prediction:
        """Return one region for an annotator's clicks, or none if the model segments nothing there. Never raises.

        Clicks in an outline or near one change that outline; see `backend.refining`. Others ask for a new one.

        Args:
            images: the clicked image; see `clicked_image`.
            tags: control tags of the project, with the control that its masks are drawn with.
            config: the project's labeling config, which the suggestion is checked against.
        """
        services = self._services
        try:
            with services.metrics.predict_seconds.labels(kind="click").time():
                tags = image_of_click(regions, tags, task.data)
                if tags.polygon is None and tags.brush is None:
                    raise InvalidRegion(
                        "suggestions need a PolygonLabels or BrushLabels control on the image",
                        code="labeling_config",
                    )
                mammogram = images.open(of_task(task.id, task.data, tags=tags))
                click = read_click(regions, tags, image=mammogram.size)
                click = click.within_reach(spacing=mammogram.spacing or ASSUMED_SPACING)
                suggestion = self._answer(task, click, mammogram=mammogram, tags=tags, loaded=loaded)
                require_valid(suggestion, config=config)
        except Exception as error:  # the browser waits for a response
            return failed(error, task=task, loaded=loaded, metrics=services.metrics, tags=None)
        services.metrics.predictions.labels(outcome="suggested").inc()
        return suggestion

    def _answer(
        self, task: Task, click: Click, *, mammogram: Mammogram, tags: ControlTags, loaded: Loaded
    ) -> Prediction:
        drawn = drawn_findings(task.model_dump(include=set(DRAWN)), tags=tags, size=mammogram.size)
        place = (task.id, tags.image_key)
        target = self._refining.target(click, drawn, place=place, mammogram=mammogram)
        if target is not None:
            refined = refine(target, mammogram=mammogram, prelabeller=loaded.prelabeller)
            steps = (*target.earlier, *target.fresh)
            self._refining.remember(
                target.finding.region,
                refined.mask,
                steps,
                place=place,
                saved=target.finding in drawn.findings,
            )
            text = [loaded.prelabeller.describe(mammogram, refined.mask), *refined.notes]
            return _replacement(
                target, refined, text, kind=click.kind, mammogram=mammogram, tags=tags, version=loaded.version
            )
        click = click.from_positive()
        obstacle = drawn.obstacle(click.steps[0].points[0]) if click.steps else None
        segmentation = self._segment(mammogram, click, loaded.prelabeller)
        notes = (f"a new outline: {obstacle}",) if obstacle else ()
        if segmentation.mask is not None:
            notes = (loaded.prelabeller.describe(mammogram, segmentation.mask), *notes)
        suggestion = _suggestion(
            segmentation, click, notes=notes, mammogram=mammogram, tags=tags, version=loaded.version
        )
        for region in suggestion["result"] if click.steps else ():
            assert segmentation.mask is not None
            self._refining.remember(region, segmentation.mask, click.steps, place=place, saved=False)
        return suggestion

    def _segment(self, mammogram: Mammogram, click: Click, prelabeller: Prelabeller) -> Segmentation:
        """Decode the clicks one by one, beginning after the last prefix in the cache."""
        if click.box is not None:
            return self._decode((prelabeller.version, mammogram.sha256, click), mammogram, prelabeller, None)
        prefixes = [
            Click(kind=click.kind, size=click.size, steps=click.steps[:n])
            for n in range(1, len(click.steps) + 1)
        ]
        keys = [(prelabeller.version, mammogram.sha256, prefix) for prefix in prefixes]
        with self._lock:
            first = next((n for n in reversed(range(len(keys))) if keys[n] in self._cache), 0)
        segmentation: Segmentation | None = None
        for key in keys[first:]:
            segmentation = self._decode(key, mammogram, prelabeller, segmentation)
        assert segmentation is not None
        return segmentation

    def _decode(
        self, key: Key, mammogram: Mammogram, prelabeller: Prelabeller, previous: Segmentation | None
    ) -> Segmentation:
        """Return the segmentation of a click sequence, from the cache or decoded from the previous one."""
        with self._lock:
            cached = self._cache.get(key)
        if cached is not None:
            return cached
        click = key[2]
        segmentation = prelabeller.answer(
            mammogram, click.box, click.positive, click.negative, previous=previous
        )
        with self._lock:
            self._cache[key] = segmentation
        return segmentation


def clicked_image(task: Task, regions: Sequence[Mapping[str, Any]], *, tags: ControlTags) -> dict[str, Any]:
    """Return the data of the image that an annotator clicked on, as `of_task` does.

    Raises:
        InvalidRegion: there is no region, or it lies on an image that the task does not show.
        ImageNotFound: the task has no such image.
    """
    return of_task(task.id, task.data, tags=image_of_click(regions, tags, task.data))


def _replacement(
    target: Target,
    refined: Refined,
    text: list[str],
    *,
    kind: str,
    mammogram: Mammogram,
    tags: ControlTags,
    version: str,
) -> Prediction:
    """Return the region that a click is about, with its new outline and its attributes."""
    steps = (*target.earlier, *target.fresh)
    described = target.finding.region.get("meta")
    meta = {
        **(described if isinstance(described, Mapping) else {}),
        "prompt": kind,
        "refined_by": version,
        "text": text,
    }
    result = replacement(
        target.finding,
        refined.mask,
        positive=[point for step in steps if step.positive for point in step.points],
        negative=[point for step in steps if not step.positive for point in step.points],
        tags=tags,
        size=mammogram.size,
        meta=meta,
    )
    return {"result": result, "score": score_of(result[0]), "model_version": version}


def _suggestion(
    segmentation: Segmentation,
    click: Click,
    *,
    notes: tuple[str, ...],
    mammogram: Mammogram,
    tags: ControlTags,
    version: str,
) -> Prediction:
    result = []
    if segmentation.mask is not None:
        presence = segmentation.presence
        meta: dict[str, Any] = {"model_version": version, "prompt": click.kind}
        if notes or segmentation.notes:
            meta["text"] = [*notes, *segmentation.notes]
        described: dict[str, Any] = {
            "score": 1.0 if presence is None else min(max(presence, 0.0), 1.0),
            "size": mammogram.size,
            "tags": tags,
            "meta": meta,
            "region_id": region_id(click, image=mammogram.sha256, version=version),
        }
        result.append(
            brush_region(segmentation.mask, packed=True, **described)
            if tags.polygon is None
            else outline_region(segmentation.mask, click.positive, click.negative, **described)
        )
    return {"result": result, "score": 1.0 if result else 0.0, "model_version": version}


def region_id(click: Click, *, image: str, version: str) -> str:
    """Return the id of a suggestion. It depends on the first prompt only.

    Repeated and further clicks on the same lesion thus refine the same region; a first click elsewhere makes another.
    """
    first_prompt = click.box or click.steps[0].points
    return hashlib.sha256(repr((version, image, first_prompt)).encode()).hexdigest()[:10]
