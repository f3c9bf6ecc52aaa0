"""Suggestions: clicks become masks; what was answered to the clicks before is where the next answer starts.

The answer to clicks 1..n is defined as the answer to all of them that starts from the answer to 1..n-1. What is
remembered only saves decoding: the same clicks give the same mask, whatever was asked in between.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from cachetools import LRUCache

from backend.click import Click, image_of_click, read_click
from backend.model_host import Loaded, Prelabels, Segmented
from backend.no_prediction import Prediction, nothing
from backend.schemas import Task
from backend.services import Images, Services
from mammo.dicom import Mammogram
from mammo.errors import InvalidRegion
from mammo.geometry import ASSUMED_SPACING
from mammo.images.task_images import of_task
from mammo.labelstudio import ControlTags
from mammo.labelstudio.prediction_check import require_valid
from mammo.labelstudio.regions import COMPLETE, EXACT, brush_region, mask_of, polygon_region
from mammo.masks import Mask

MAX_ANSWERS = 128
"""Answers that are remembered; each holds its logits, at most 256 kB."""

Key = tuple[str, str, Click]


class Suggestions:
    """Answers the clicks of one backend's annotators. Safe to share between threads."""

    def __init__(self, services: Services, images: Images) -> None:
        """
        Args:
            images: opens a task's image, and remembers the last ones.
        """
        self._services = services
        self._images = images
        self._lock = threading.Lock()
        self._answers: LRUCache[Key, Segmented] = LRUCache(MAX_ANSWERS)

    def suggest(
        self,
        task: Task,
        regions: Sequence[Mapping[str, Any]],
        *,
        tags: ControlTags,
        config: str,
        loaded: Loaded,
    ) -> Prediction:
        """One region under an expert's clicks; empty when the model sees nothing there. Never raises.

        Args:
            tags: of the project, in the form that its masks are drawn in.
            config: the project's labeling config, which the answer is checked against.
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
                click = read_click(regions, tags)
                mammogram = self._images.open(of_task(task.id, task.data, tags=tags))
                if mammogram.size != click.size:
                    raise InvalidRegion(
                        f"the image on the screen has {click.size} pixels, the mammogram {mammogram.size}",
                        code="size_mismatch",
                    )
                click = click.within_reach(spacing=mammogram.spacing or ASSUMED_SPACING)
                found = self._answer(mammogram, click, loaded.prelabeller)
                made = _suggestion(found, click, mammogram=mammogram, tags=tags, version=loaded.version)
                require_valid(made, config=config)
        except Exception as error:  # the browser waits for an answer, and a suggestion is only that
            return nothing(error, task=task, loaded=loaded, metrics=services.metrics, tags=None)
        services.metrics.predictions.labels(outcome="suggested").inc()
        return made

    def _answer(self, mammogram: Mammogram, click: Click, prelabeller: Prelabels) -> Segmented:
        """Follow the clicks one by one, from the latest that was answered before."""
        if click.box is not None:
            return self._known((prelabeller.version, mammogram.sha256, click), mammogram, prelabeller, None)
        prefixes = [
            Click(kind=click.kind, size=click.size, steps=click.steps[:n])
            for n in range(1, len(click.steps) + 1)
        ]
        keys = [(prelabeller.version, mammogram.sha256, prefix) for prefix in prefixes]
        with self._lock:
            first = next((n for n in reversed(range(len(keys))) if keys[n] in self._answers), 0)
        found: Segmented | None = None
        for key in keys[first:]:
            found = self._known(key, mammogram, prelabeller, found)
        assert found is not None
        return found

    def _known(
        self, key: Key, mammogram: Mammogram, prelabeller: Prelabels, previous: Segmented | None
    ) -> Segmented:
        with self._lock:
            known = self._answers.get(key)
        if known is not None:
            return known
        click = key[2]
        found = prelabeller.answer(mammogram, click.box, click.positive, click.negative, previous=previous)
        with self._lock:
            self._answers[key] = found
        return found


def _suggestion(
    found: Segmented, click: Click, *, mammogram: Mammogram, tags: ControlTags, version: str
) -> Prediction:
    result = []
    if found.mask is not None:
        meta: dict[str, Any] = {"model_version": version, "prompt": click.kind}
        if found.notes:
            meta["text"] = list(found.notes)
        region = _region(
            found.mask,
            click,
            score=1.0 if found.presence is None else min(max(found.presence, 0.0), 1.0),
            size=mammogram.size,
            tags=tags,
            meta=meta,
            region_id=region_id(click, image=mammogram.sha256, version=version),
        )
        result.append(region)
    return {"result": result, "score": 1.0 if result else 0.0, "model_version": version}


def _region(mask: Mask, click: Click, *, tags: ControlTags, **described: Any) -> dict[str, Any]:
    """An outline with every part of the mask, or a brush region; what was clicked holds to the pixel."""
    if tags.polygon is None:
        return brush_region(mask, tags=tags, packed=True, **described)
    region = polygon_region(mask, tags=tags, form=COMPLETE, **described)
    drawn = mask_of(region)
    held = drawn is not None and all(drawn.holds(point) for point in click.positive if mask.holds(point))
    kept_out = drawn is None or not any(
        drawn.holds(point) for point in click.negative if not mask.holds(point)
    )
    return region if held and kept_out else polygon_region(mask, tags=tags, form=EXACT, **described)


def region_id(click: Click, *, image: str, version: str) -> str:
    """The id of a suggestion: the same for the same prompt, so that asking twice leaves one region.

    More clicks on the same lesion refine the same suggestion; a first click elsewhere begins another.
    """
    begun = click.box or click.steps[0].points
    return hashlib.sha256(repr((version, image, begun)).encode()).hexdigest()[:10]
