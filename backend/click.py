"""Click: what an expert pointed at, as a sequence of prompts; read from the context that a smart tool sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Point, Size, Spacing
from mammo.labelstudio import ControlTags, rle
from mammo.labelstudio.regions import box_of, point_of, size_of
from mammo.masks import Mask

STROKE_POINTS = 5
"""Point prompts that a brush stroke becomes."""

MAX_STEPS = 32
"""Most clicks that are followed; of more the latest count."""

REACH_MM = 20.0
"""Clicks farther than this from the newest, along an axis, are about another lesion."""


@dataclass(frozen=True)
class Step:
    """One pointing: points on the lesion, or points beside it."""

    points: tuple[Point, ...]
    positive: bool


@dataclass(frozen=True, kw_only=True)
class Click:
    """A box, or clicks in the order in which they were made; in pixels of the image that the expert sees."""

    kind: str
    """`box`, `points` or `stroke`: what the newest prompt was."""

    size: Size
    box: Box | None = None
    steps: tuple[Step, ...] = ()

    @property
    def positive(self) -> tuple[Point, ...]:
        return tuple(point for step in self.steps if step.positive for point in step.points)

    @property
    def negative(self) -> tuple[Point, ...]:
        return tuple(point for step in self.steps if not step.positive for point in step.points)

    def within_reach(self, *, spacing: Spacing) -> Click:
        """Without the clicks that lie farther than `REACH_MM` from the newest one along an axis.

        Raises:
            InvalidRegion: nothing is left that says where the lesion is.
        """
        if self.box is not None:
            return self
        newest = self.steps[-1].points[0]
        across, down = (round(REACH_MM / side) for side in (spacing.column_mm, spacing.row_mm))
        near = [
            step
            for step in self.steps
            if abs(step.points[0].x - newest.x) <= across and abs(step.points[0].y - newest.y) <= down
        ][-MAX_STEPS:]
        while near and not near[0].positive:
            near.pop(0)
        if not near:
            raise InvalidRegion(
                "only points that are not the lesion; click the lesion first, then Alt + click the rest",
                code="only_negative",
            )
        return Click(kind=self.kind, size=self.size, steps=tuple(near))


def image_of_click(
    regions: Sequence[Mapping[str, Any]], tags: ControlTags, data: Mapping[str, Any]
) -> ControlTags:
    """The tags of the image that the newest region lies on.

    Raises:
        InvalidRegion: there is no region, or it lies on an image that the task does not show (code `unknown_image`).
    """
    if not regions:
        raise InvalidRegion("a click without a region of its own")
    for on_image in tags.on(data):
        if on_image.shows(regions[-1]):
            return on_image
    raise InvalidRegion(
        f"the click lies on the image {regions[-1].get('to_name')!r}, on which this project has no tool for clusters",
        code="unknown_image",
    )


def read_click(regions: Sequence[Mapping[str, Any]], tags: ControlTags) -> Click:
    """Understand the context of a smart tool: the newest region is last and decides.

    Label Studio sends every region of the newest one's type and label; those of other images are passed over. What the
    model itself drew (`origin` starts with `prediction`) is no prompt. Key points made by a smart tool say
    `is_positive`; plain ones beside them do not, and are no prompts. Rectangles and brush strokes carry no mark at all:
    only the newest counts.

    Raises:
        InvalidRegion: nothing to go by, another label (`code="wrong_label"`), or a rotated image.
    """
    drawn = [r for r in regions if tags.shows(r) and not str(r.get("origin", "")).startswith("prediction")]
    if not drawn:
        raise InvalidRegion("a click without a region of its own")
    newest = drawn[-1]
    size, kind = size_of(newest), newest.get("type")
    if not tags.is_cluster(newest):
        raise InvalidRegion(
            f"this model only knows clusters: choose the label {tags.label} and ask again", code="wrong_label"
        )
    if kind == "rectanglelabels":
        return Click(kind="box", size=size, box=box_of(newest))
    if kind == "brushlabels":
        stroke = rle.decode(newest["value"].get("rle", ()), size=size)
        if stroke is None:
            raise InvalidRegion("an empty brush stroke")
        positive = newest.get("is_positive") is not False
        return Click(kind="stroke", size=size, steps=(Step(stroke_points(stroke), positive),))
    if kind != "keypointlabels":
        raise InvalidRegion(f"a prompt is a key point, a rectangle or a brush stroke, got {kind!r}")
    # A key point drawn while labels of two controls were chosen is sent once for each of them: it is one click.
    points = list(
        {
            (str(r.get("id", "")), point_of(r), r["is_positive"]): r
            for r in drawn
            if r.get("type") == kind and isinstance(r.get("is_positive"), bool) and tags.is_cluster(r)
        }.values()
    )
    if not points:
        raise InvalidRegion("a plain key point asks nothing; use the smart tool")
    if any(size_of(point) != size for point in points):
        raise InvalidRegion("the points of one click are on images of different sizes")
    return Click(
        kind="points", size=size, steps=tuple(Step((point_of(r),), bool(r["is_positive"])) for r in points)
    )


def stroke_points(stroke: Mask) -> tuple[Point, ...]:
    """Some pixels of a stroke, deep inside it and far from each other; the same stroke gives the same points."""
    padded = np.pad(stroke.bitmap.view(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth >= 0.5 * depth.max())
    chosen = [int(np.argmax(depth[rows, columns]))]
    distance = np.hypot(rows - rows[chosen[0]], columns - columns[chosen[0]])
    while len(chosen) < STROKE_POINTS and distance.max() >= 2:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.hypot(rows - rows[chosen[-1]], columns - columns[chosen[-1]]))
    return tuple(Point(int(columns[i]) + stroke.x0, int(rows[i]) + stroke.y0) for i in chosen)
