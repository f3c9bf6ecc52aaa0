"""Roi: the square crop of a mammogram that the segmenter processes, and the maps between its frames.

One network serves two levels. Logits are 4 input pixels apart, so the resolution of an outline depends on the number of
native pixels in the crop:

    level           side of the crop (S = input side of the network)             native pixels per logit
    cluster         twice the longer side of the box, at least S                 4 for boxes up to S / 2
    calcification   S / 4, magnified four times (128 pixels for S = 512)         1; larger boxes are tiled

The paper's encoders have S = 512 or 1024. The starter has S = 256 and proportionally smaller crops (256 and 64 pixels),
so a logit covers the same number of native pixels in every network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mammo.geometry import Box, Point, Size, Spacing
from mammo.segmenter.config import MlsamConfig

Level = Literal["cluster", "calcification"]

MARGIN = 0.1
"""Dilation of a box before it prompts and limits the mask, on each side, as a fraction of the side length."""

LOGIT_STRIDE = 4
"""Distance between logits, in input pixels."""

OVERLAP = 0.25
"""Minimum overlap of neighbouring tiles, as a fraction of their side."""

GRID = 16
"""The centre of a crop lies on multiples of side / GRID, so that nearby prompts share one region."""

MIN_LOGITS = 2
"""Minimum width of a target that can be outlined, in logits; below, the best possible Dice is 0.6 or less."""


@dataclass(frozen=True)
class Roi:
    """A crop of an image and its scale; maps the image frame to the crop and to the network input."""

    crop: Box
    """The crop, inside the image."""

    side: int
    """Image pixels that the side of the input covers; larger than the crop if the image is small."""

    input_size: int
    """Side of the network input, in pixels."""

    spacing: Spacing | None
    """Pixel spacing of the image, which scales the filters of the input; None when unknown."""

    @property
    def scale(self) -> float:
        """Input pixels per image pixel: 1 or less at the cluster level, 4 at the calcification level."""
        return self.input_size / self.side

    @property
    def pixels_per_logit(self) -> float:
        """Distance between logits, in image pixels: the resolution of a mask."""
        return LOGIT_STRIDE / self.scale

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Map continuous image coordinates to continuous input coordinates."""
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
    """Return the square region around a box, moved into the image; a single tile at the calcification level.

    Args:
        box: in the image.
        size: of the image.
        config: of the network.
        level: level of detail.
        spacing: pixel spacing of the image; None when unknown.
        zoom: factor on the side of the crop; varied in training.
        snap: align the crop to the grid that nearby prompts share; training uses arbitrary crops.
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
    """Twice the longer side of the box, at least the input size and at most the longer side of the image."""
    side = round(2 * max(box.width, box.height) * zoom)
    if snap:
        step = config.input_size // 8
        side = math.ceil(side / step) * step
    return max(config.input_size, min(side, max(size.width, size.height)))


def level_of(box: Box, *, config: MlsamConfig) -> Level:
    """Return the level that can outline the target of a drawn box.

    It is the calcification level if the cluster level has fewer than `MIN_LOGITS` logits across the box, and one tile
    shows the box with its surroundings.
    """
    narrow = min(box.width, box.height) < MIN_LOGITS * LOGIT_STRIDE
    tile = config.input_size // LOGIT_STRIDE
    return "calcification" if narrow and 2 * max(box.width, box.height) <= tile else "cluster"


def tile_rois(box: Box, size: Size, *, config: MlsamConfig, spacing: Spacing | None) -> list[Roi]:
    """Return the tiles of the calcification level that cover a dilated box.

    A box that fits into one tile gets a tile of its own. Larger boxes use tiles of one grid over the image, so that
    overlapping boxes share them. Neighbouring tiles overlap by at least `OVERLAP` of their side.
    """
    side = config.input_size // LOGIT_STRIDE
    region = dilated(box).within(size)
    single = roi_around(region, size, config=config, level="calcification", spacing=spacing)
    if single.crop.intersection(region) == region:
        return [single]
    step = math.floor(side * (1 - OVERLAP))
    return [
        Roi(Box(x, y, x + side, y + side).moved_into(size), side, config.input_size, spacing)
        for y in _starts(region.y0, region.y1, side=side, step=step, length=size.height)
        for x in _starts(region.x0, region.x1, side=side, step=step, length=size.width)
    ]


def _starts(first: int, last: int, *, side: int, step: int, length: int) -> list[int]:
    """Starts of tiles along one axis that cover [first, last): multiples of `step`, inside the image."""
    edge = max(0, length - side)
    starts = [min(first // step * step, edge)]
    while starts[-1] + side < last and starts[-1] < edge:
        starts.append(min((starts[-1] // step + 1) * step, edge))
    return starts


def dilated(box: Box) -> Box:
    """Grow a box by `MARGIN` on each side; its mask does not extend beyond the result."""
    dx, dy = round(box.width * MARGIN), round(box.height * MARGIN)
    return Box(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy)
