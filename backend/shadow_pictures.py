"""ShadowPictures: the places where two model versions differ, cut out of their images, with both outlines.

They are drawn in the background and kept in memory, within bounds: whoever looks decides which versions are compared.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from threading import Lock
from typing import Any

import structlog

from backend.refreshed import Figure, Refreshed
from backend.services import Images, Services
from mammo.dicom import Mammogram
from mammo.efforts.differing_places import DifferingPlace, differing_places
from mammo.errors import MammoError, UnknownRun
from mammo.images.task_images import of_task
from mammo.labelstudio.labeling_config import ControlTags
from mammo.site import Site
from mammo.verdicts.crops import encode, frame_around, grey_levels
from mammo.verdicts.record import Found, Picture
from mammo.verdicts.shapes import shape_of

MAX_TASKS = 12
"""Tasks of which places are drawn, those that differ most: each costs reading a mammogram."""

MAX_PLACES = 24
MAX_COMPARISONS = 4
"""Comparisons whose pictures are kept, the newest: some megabytes."""

EVERY = timedelta(hours=1)
"""Age from which pictures are drawn again when somebody looks."""

OTHER_IMAGE = "its image is another one than the versions have seen"

Key = tuple[int, str, str, tuple[int, ...]]
"""Project, both versions, and the tasks."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ShownPlace:
    """A place, and its picture if there is one."""

    task: int
    kind: str
    """See `DifferingPlace.kind`."""

    overlap: float
    first: Found | None
    second: Found | None
    view: str = ""
    spacing: tuple[float, float] | None = None
    """Of rows and columns, in mm."""

    picture: Picture | None = None
    content: bytes = b""
    """The picture, as WebP."""

    problem: str = ""
    """Why there is no picture; otherwise empty."""

    def to_json(self, address: str) -> dict[str, Any]:
        """Return the place as a JSON object.

        Args:
            address: below which pictures are served by their SHA-256.
        """
        return {
            "task": self.task,
            "kind": self.kind,
            "overlap": round(self.overlap, 4),
            "first": _found(self.first),
            "second": _found(self.second),
            "picture": f"{address}/{self.picture.sha256}" if self.picture else None,
            "frame": list(self.picture.frame) if self.picture else None,
            "problem": self.problem or None,
        }


class ShadowPictures:
    """Draws the places of comparisons, one comparison at a time. Safe to share between threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._drawn: Refreshed[Key, tuple[ShownPlace, ...]] = Refreshed(self._draw, every=EVERY)
        self._kept: OrderedDict[Key, tuple[ShownPlace, ...]] = OrderedDict()
        self._lock = Lock()

    def get(
        self, project: int, versions: Sequence[str], tasks: Sequence[int]
    ) -> Figure[tuple[ShownPlace, ...]]:
        """Return the places of a comparison.

        Args:
            versions: two of them, by their full names.
            tasks: those that differ most first; the first `MAX_TASKS` are drawn.
        """
        first, second = versions
        return self._drawn.get((project, first, second, tuple(tasks[:MAX_TASKS])))

    def picture(self, project: int, digest: str) -> bytes:
        """Return a picture that was drawn for a project, as WebP.

        Raises:
            UnknownRun: there is none, or it was forgotten (code `no_picture`).
        """
        with self._lock:
            drawn = [place for key, places in self._kept.items() if key[0] == project for place in places]
        for place in drawn:
            if place.picture is not None and place.picture.sha256 == digest:
                return place.content
        raise UnknownRun(
            "this picture is not kept any more; reload the page of the comparison", code="no_picture"
        )

    def close(self) -> None:
        """Start no drawing any more."""
        self._drawn.close()

    def _draw(self, key: Key) -> tuple[ShownPlace, ...]:
        self._keep(key)
        project, first, second, tasks = key
        services = self._services
        shown = draw_places(project, (first, second), tasks, site=services.site, images=services.images)
        with self._lock:
            self._kept[key] = shown
        return shown

    def _keep(self, key: Key) -> None:
        """Make a comparison the newest, and forget the oldest; also before one that fails, whose problem is kept."""
        with self._lock:
            self._kept.setdefault(key, ())
            self._kept.move_to_end(key)
            forgotten = [self._kept.popitem(last=False)[0] for _ in range(len(self._kept) - MAX_COMPARISONS)]
        for each in forgotten:
            self._drawn.forget(each)


def draw_places(
    project: int, versions: tuple[str, str], tasks: Sequence[int], *, site: Site, images: Images
) -> tuple[ShownPlace, ...]:
    """Draw the places where two versions differ.

    Args:
        versions: their full names.
        tasks: those that are looked at, most differing first.
    """
    places = differing_places(
        project, versions, tasks, store=site.store, tags=site.tags(project), limit=MAX_PLACES
    )
    return tuple(
        each
        for (task, tags), here in groupby(places, key=lambda place: (place.task, place.tags))
        for each in _of_image(task, tags, list(here), site=site, images=images)
    )


def _of_image(
    task: int, tags: ControlTags, places: Sequence[DifferingPlace], *, site: Site, images: Images
) -> Iterator[ShownPlace]:
    try:
        data = site.client.task(task)["data"]
        mammogram = images.open(of_task(task, data, tags=tags))
    except MammoError as error:
        log.warning("no picture of a differing task", task=task, code=error.code)
        for place in places:
            yield _shown(place, problem=f"its image cannot be read now ({error.code})")
        return
    seen = places[0].image_sha256
    is_alone = tags.is_only_image and tags.page is None  # else the prelabels name several images at once
    if not seen or (is_alone and mammogram.sha256 != seen):
        for place in places:
            yield _shown(place, problem=OTHER_IMAGE)
        return
    yield from _cut_out(mammogram, places)


def _cut_out(mammogram: Mammogram, places: Sequence[DifferingPlace]) -> Iterator[ShownPlace]:
    grey, spacing = grey_levels(mammogram.pixels), mammogram.spacing
    for place in places:
        if place.box.intersection(mammogram.size.box) != place.box:
            yield _shown(place, problem=OTHER_IMAGE)
            continue
        frame = frame_around(place.box, mammogram.size, column_mm=spacing.column_mm if spacing else None)
        content, size = encode(grey, frame)
        yield _shown(
            place,
            view=f"{mammogram.laterality or ''}{mammogram.view or ''}",
            spacing=(spacing.row_mm, spacing.column_mm) if spacing else None,
            content=content,
            picture=Picture(
                sha256=hashlib.sha256(content).hexdigest(),
                width=size.width,
                height=size.height,
                frame=frame.as_tuple(),
                bytes=len(content),
            ),
        )


def _shown(place: DifferingPlace, **facts: Any) -> ShownPlace:
    first, second = (
        None if each is None else Found(shape=shape_of(each), score=each.score, lesion=None, dice=None)
        for each in (place.first, place.second)
    )
    return ShownPlace(
        task=place.task, kind=place.kind, overlap=place.overlap, first=first, second=second, **facts
    )


def _found(found: Found | None) -> dict[str, Any] | None:
    return None if found is None else {"score": found.score, "box": list(found.shape.corners)}
