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
from backend.schemas import Task
from backend.services import Services
from mammo.dicom import Mammogram
from mammo.errors import InvalidRegion
from mammo.geometry import ASSUMED_SPACING
from mammo.images.task_images import of_task
from mammo.labelstudio import ControlTags
from mammo.labelstudio.prediction_check import require_valid
from mammo.labelstudio.regions import COMPLETE, EXACT, brush_region, mask_of, polygon_region
from mammo.masks import Mask

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
                segmentation = self._segment(mammogram, click, loaded.prelabeller)
                suggestion = _suggestion(
                    segmentation, click, mammogram=mammogram, tags=tags, version=loaded.version
                )
                require_valid(suggestion, config=config)
        except Exception as error:  # the browser waits for a response
            return failed(error, task=task, loaded=loaded, metrics=services.metrics, tags=None)
        services.metrics.predictions.labels(outcome="suggested").inc()
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


def _suggestion(
    segmentation: Segmentation, click: Click, *, mammogram: Mammogram, tags: ControlTags, version: str
) -> Prediction:
    result = []
    if segmentation.mask is not None:
        presence = segmentation.presence
        meta: dict[str, Any] = {"model_version": version, "prompt": click.kind}
        if segmentation.notes:
            meta["text"] = list(segmentation.notes)
        region = _region(
            segmentation.mask,
            click,
            score=1.0 if presence is None else min(max(presence, 0.0), 1.0),
            size=mammogram.size,
            tags=tags,
            meta=meta,
            region_id=region_id(click, image=mammogram.sha256, version=version),
        )
        result.append(region)
    return {"result": result, "score": 1.0 if result else 0.0, "model_version": version}


def _region(mask: Mask, click: Click, *, tags: ControlTags, **described: Any) -> dict[str, Any]:
    """Return a polygon with every part of the mask, or a brush region.

    A polygon that misses a positive click, or covers a negative one, is replaced by one that is exact to the pixel.
    """
    if tags.polygon is None:
        return brush_region(mask, tags=tags, packed=True, **described)
    region = polygon_region(mask, tags=tags, form=COMPLETE, **described)
    drawn = mask_of(region)
    keeps_positive = drawn is not None and all(
        drawn.holds(point) for point in click.positive if mask.holds(point)
    )
    avoids_negative = drawn is None or not any(
        drawn.holds(point) for point in click.negative if not mask.holds(point)
    )
    return (
        region
        if keeps_positive and avoids_negative
        else polygon_region(mask, tags=tags, form=EXACT, **described)
    )


def region_id(click: Click, *, image: str, version: str) -> str:
    """Return the id of a suggestion. It depends on the first prompt only.

    Repeated and further clicks on the same lesion thus refine the same region; a first click elsewhere makes another.
    """
    first_prompt = click.box or click.steps[0].points
    return hashlib.sha256(repr((version, image, first_prompt)).encode()).hexdigest()[:10]
