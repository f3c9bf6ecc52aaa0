"""Roi: the square part of a mammogram that the segmenter looks at, at which level, and the maps between its frames.

Two levels, one network. A logit is a quarter of the input's side apart from the next, so what decides how fine an
outline can be is how many native pixels the crop has:

    level           crop's side (S = the network's input side)                   native pixels per logit
    cluster         twice the box's longer side, at least S                      4 while the box is at most S / 2
    calcification   S / 4, magnified four times (128 pixels for S = 512)         1; larger boxes are tiled

The paper's encoders take S = 512 or 1024; the starter's S is 256 and its crops shrink in proportion (256 and 64
pixels), so a logit stands for the same number of native pixels whatever the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mammo.geometry import Box, Point, Size, Spacing
from mammo.segmenter.config import MlsamConfig

Level = Literal["cluster", "calcification"]

MARGIN = 0.1
"""How far a box is dilated on each side, as a part of that side, before it is a prompt and a limit of the mask."""

LOGIT_STRIDE = 4
"""Input pixels from one logit to the next."""

OVERLAP = 0.25
"""Least part of a tile's side that it shares with its neighbour."""

GRID = 16
"""A crop's middle lies on multiples of its side / GRID, so that prompts a little apart share one region."""

MIN_LOGITS = 2
"""A target narrower than this many logits has no outline that the network could draw (best Dice 0.6 and below)."""


@dataclass(frozen=True)
class Roi:
    """A crop of an image and its scale: image pixel frame -> crop -> network input."""

    crop: Box
    """In the image, inside it."""

    side: int
    """Image pixels that the input's side stands for; more than the crop's where the image is small."""

    input_size: int
    """Side of the network input, in pixels."""

    spacing: Spacing | None
    """Of the image's pixels, where known; the filters of the input are sized in mm."""

    @property
    def scale(self) -> float:
        """Input pixels per image pixel: 1 or less at the cluster level, 4 at the calcification level."""
        return self.input_size / self.side

    @property
    def pixels_per_logit(self) -> float:
        """Image pixels from one logit to the next: no detail of a mask is finer."""
        return LOGIT_STRIDE / self.scale

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Continuous image coordinates to continuous input coordinates."""
        return (x - self.crop.x0) * self.scale, (y - self.crop.y0) * self.scale

    def point_to_input(self, point: Point) -> tuple[float, float]:
        """The centre of an image pixel in continuous input coordinates."""
        return self.to_input(point.x + 0.5, point.y + 0.5)

    def point_to_logits(self, point: Point) -> tuple[float, float]:
        """The centre of an image pixel in the continuous frame of the logits, whose first centre is (0.5, 0.5)."""
        x, y = self.point_to_input(point)
        return x / LOGIT_STRIDE, y / LOGIT_STRIDE


def roi_around(
    box: Box,
    size: Size,
    *,
    config: MlsamConfig,
    level: Level = "cluster",
    spacing: Spacing | None,
    zoom: float = 1.0,
    snap: bool = True,
) -> Roi:
    """The square around a box, moved into the image; at the calcification level the one tile around its middle.

    Args:
        box: in the image.
        spacing: of the image's pixels, where known.
        zoom: factor on the side; training varies it.
        snap: to the grid that neighbouring prompts share; training takes crops anywhere.
    """
    side = _cluster_side(box, size, config=config, zoom=zoom, snap=snap)
    if level == "calcification":
        side = max(1, round(config.input_size // LOGIT_STRIDE * zoom))
    x, y = box.centre
    crop = Box.centred(x, y, width=side, height=side)
    if snap:
        step = max(1, side // GRID)
        crop = Box.centred(round(x / step) * step, round(y / step) * step, width=side, height=side)
    return Roi(
        crop=crop.moved_into(size),
        side=side,
        input_size=config.input_size,
        spacing=spacing,
    )


def _cluster_side(box: Box, size: Size, *, config: MlsamConfig, zoom: float, snap: bool) -> int:
    """Twice the longer side; no less than native resolution gives, no more than the image."""
    side = round(2 * max(box.width, box.height) * zoom)
    if snap:
        step = config.input_size // 8
        side = math.ceil(side / step) * step
    return max(config.input_size, min(side, max(size.width, size.height)))


def level_of(box: Box, *, config: MlsamConfig) -> Level:
    """The level that can outline what a person drew a box around.

    It is that of calcifications where the cluster level has fewer than `MIN_LOGITS` logits across the box and one
    tile shows the box with its surroundings.
    """
    narrow = min(box.width, box.height) < MIN_LOGITS * LOGIT_STRIDE
    tile = config.input_size // LOGIT_STRIDE
    return "calcification" if narrow and 2 * max(box.width, box.height) <= tile else "cluster"


def tile_rois(box: Box, size: Size, *, config: MlsamConfig, spacing: Spacing | None) -> list[Roi]:
    """The tiles of the calcification level that cover a dilated box.

    A box that fits one tile gets its own; a larger one takes the tiles of one grid over the whole image, so that
    overlapping boxes share them. Neighbours overlap by `OVERLAP` of their side or more.
    """
    side = config.input_size // LOGIT_STRIDE
    region = dilated(box).within(size)
    alone = roi_around(region, size, config=config, level="calcification", spacing=spacing)
    if alone.crop.intersection(region) == region:
        return [alone]
    step = math.floor(side * (1 - OVERLAP))
    return [
        Roi(Box(x, y, x + side, y + side).moved_into(size), side, config.input_size, spacing)
        for y in _starts(region.y0, region.y1, side=side, step=step, length=size.height)
        for x in _starts(region.x0, region.x1, side=side, step=step, length=size.width)
    ]


def _starts(first: int, last: int, *, side: int, step: int, length: int) -> list[int]:
    """Where tiles begin along one axis so that they cover first <= i < last; multiples of `step`, inside the image."""
    edge = max(0, length - side)
    starts = [min(first // step * step, edge)]
    while starts[-1] + side < last and starts[-1] < edge:
        starts.append(min((starts[-1] // step + 1) * step, edge))
    return starts


def dilated(box: Box) -> Box:
    """A box grown by `MARGIN` of each side; what is outside is never part of its mask."""
    dx, dy = round(box.width * MARGIN), round(box.height * MARGIN)
    return Box(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy)
