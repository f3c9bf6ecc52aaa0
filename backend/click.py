"""Click: the prompts of an annotator, read from the context that a smart tool of Label Studio sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Point, Size, Spacing
from mammo.labelstudio import ControlTags, rle
from mammo.labelstudio.cluster_regions import checked
from mammo.labelstudio.regions import box_of, point_of, size_of, value_of
from mammo.masks import Mask

MAX_STROKE_POINTS = 5
"""Most point prompts that a brush stroke becomes."""

MAX_CANDIDATES = 100_000
"""Most pixels of a stroke among which its points are chosen."""

MAX_STEPS = 32
"""Longest click sequence used; older clicks are dropped."""

MAX_DISTANCE_MM = 20.0
"""Clicks farther than this from the newest one along an axis are on another lesion."""


@dataclass(frozen=True)
class Step:
    """One click or stroke: points on the lesion (positive), or points beside it."""

    points: tuple[Point, ...]
    positive: bool


@dataclass(frozen=True, kw_only=True)
class Click:
    """A box, or clicks in their order, in pixels of the displayed image."""

    kind: str
    """Kind of the newest prompt: `box`, `points` or `stroke`."""

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
        """Drop clicks that are farther than `MAX_DISTANCE_MM` from the newest one along an axis."""
        if self.box is not None:
            return self
        newest = self.steps[-1].points[0]
        across, down = (round(MAX_DISTANCE_MM / side) for side in (spacing.column_mm, spacing.row_mm))
        near = [
            step
            for step in self.steps
            if abs(step.points[0].x - newest.x) <= across and abs(step.points[0].y - newest.y) <= down
        ]
        return Click(kind=self.kind, size=self.size, steps=tuple(near[-MAX_STEPS:]))

    def from_positive(self) -> Click:
        """Drop the negative clicks before the first positive one: they are beside a lesion that nothing names yet.

        Raises:
            InvalidRegion: no positive click is left (code `only_negative`).
        """
        if self.box is not None:
            return self
        steps = list(self.steps)
        while steps and not steps[0].positive:
            steps.pop(0)
        if not steps:
            raise InvalidRegion(
                "there are only negative points; click the lesion first, then Alt + click beside it",
                code="only_negative",
            )
        return Click(kind=self.kind, size=self.size, steps=tuple(steps))


def image_of_click(
    regions: Sequence[Mapping[str, Any]], tags: ControlTags, data: Mapping[str, Any]
) -> ControlTags:
    """Return the control tags of the image that the newest region lies on.

    Raises:
        InvalidRegion: there is no region, or it lies on an image that the task does not show (code `unknown_image`).
    """
    if not regions:
        raise InvalidRegion("the click has no region; use a smart tool")
    newest = checked(regions[-1])
    for on_image in tags.on(data):
        if on_image.shows(newest):
            return on_image
    raise InvalidRegion(
        f"the click is on the image {newest.get('to_name')!r}, for which the project has no control for clusters",
        code="unknown_image",
    )


def read_click(regions: Sequence[Mapping[str, Any]], tags: ControlTags, *, image: Size) -> Click:
    """Read the prompts from the context of a smart tool. The last region is the newest, and decides the kind.

    Label Studio sends every region with the type and label of the newest one. Regions of other images, and regions
    drawn by the model (`origin` starts with `prediction`), are ignored. Key points of a smart tool have `is_positive`;
    key points without it are no prompts. Rectangles and brush strokes cannot be distinguished in this way, so only the
    newest one is used.

    Args:
        image: size of the mammogram; a region that states another one is refused before it is decoded.

    Raises:
        InvalidRegion: no prompt, another label (code `wrong_label`), a rotated image, or one of another size (code
            `size_mismatch`).
    """
    drawn = [
        r
        for r in map(checked, regions)
        if tags.shows(r) and not str(r.get("origin", "")).startswith("prediction")
    ]
    if not drawn:
        raise InvalidRegion("the click has no region; use a smart tool")
    newest = drawn[-1]
    size, kind = size_of(newest), newest.get("type")
    if not tags.is_cluster(newest):
        raise InvalidRegion(
            f"the model segments clusters only; select the label {tags.label} and click again",
            code="wrong_label",
        )
    if size != image:
        raise InvalidRegion(
            f"the image on the screen has {size} pixels, the mammogram {image}", code="size_mismatch"
        )
    if kind == "rectanglelabels":
        return Click(kind="box", size=size, box=box_of(newest))
    if kind == "brushlabels":
        stroke = rle.decode(value_of(newest).get("rle", ()), size=size)
        if stroke is None:
            raise InvalidRegion("the brush stroke is empty; draw it again")
        positive = newest.get("is_positive") is not False
        return Click(kind="stroke", size=size, steps=(Step(stroke_points(stroke), positive),))
    if kind != "keypointlabels":
        raise InvalidRegion(f"a prompt is a key point, a rectangle or a brush stroke, got {kind!r}")
    # A key point drawn while labels of two controls are selected is sent once for each of them, and is one click.
    points = list(
        {
            (str(r.get("id", "")), point_of(r), r["is_positive"]): r
            for r in drawn
            if r.get("type") == kind and isinstance(r.get("is_positive"), bool) and tags.is_cluster(r)
        }.values()
    )
    if not points:
        raise InvalidRegion("a plain key point is no prompt; use the smart tool")
    if any(size_of(point) != size for point in points):
        raise InvalidRegion("the points of one click are on images of different sizes")
    return Click(
        kind="points", size=size, steps=tuple(Step((point_of(r),), bool(r["is_positive"])) for r in points)
    )


def stroke_points(stroke: Mask) -> tuple[Point, ...]:
    """Return up to `MAX_STROKE_POINTS` pixels deep inside a stroke and far from each other, deterministically."""
    padded = np.pad(stroke.bitmap.view(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep = np.flatnonzero(depth >= 0.5 * depth.max())
    deep = deep[:: -(-deep.size // MAX_CANDIDATES)]  # those of a stroke over most of the image are many
    rows, columns = np.unravel_index(deep, depth.shape)
    chosen = [int(np.argmax(depth[rows, columns]))]
    distance = np.hypot(rows - rows[chosen[0]], columns - columns[chosen[0]])
    while len(chosen) < MAX_STROKE_POINTS and distance.max() >= 2:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.hypot(rows - rows[chosen[-1]], columns - columns[chosen[-1]]))
    return tuple(Point(int(columns[i]) + stroke.x0, int(rows[i]) + stroke.y0) for i in chosen)
