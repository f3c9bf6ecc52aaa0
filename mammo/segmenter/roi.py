"""Roi: the square part of a mammogram that the segmenter looks at, and the maps between its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Point, Size
from mammo.segmenter.config import Channels, MlsamConfig

Pixels = npt.NDArray[np.float32]

SAM_MEAN = np.array([123.675, 116.28, 103.53], np.float32) / 255
SAM_STD = np.array([58.395, 57.12, 57.375], np.float32) / 255

MARGIN = 0.1
"""How far a box is dilated on each side, as a part of that side, before it is a prompt and a limit of the mask."""

SPECK = 15
"""Diameter in input pixels below which a bright spot counts as a speck in the top-hat channel."""


@dataclass(frozen=True)
class Roi:
    """A crop of an image and its scale: image pixel frame -> crop -> network input."""

    crop: Box
    """In the image, inside it."""

    side: int
    """Image pixels that the input's side stands for; more than the crop's where the image is small."""

    input_size: int
    """Side of the network input, in pixels."""

    @property
    def scale(self) -> float:
        """Input pixels per image pixel, at most 1: a mammogram is never magnified."""
        return self.input_size / self.side

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Continuous image coordinates to continuous input coordinates."""
        return (x - self.crop.x0) * self.scale, (y - self.crop.y0) * self.scale

    def point_to_input(self, point: Point) -> tuple[float, float]:
        """The centre of an image pixel in continuous input coordinates."""
        return self.to_input(point.x + 0.5, point.y + 0.5)


def roi_around(box: Box, size: Size, *, config: MlsamConfig, zoom: float = 1.0) -> Roi:
    """The square around a box: twice its longer side, at least the input size, moved into the image.

    Native resolution while that fits the input; a larger crop is resized as a whole.

    Args:
        zoom: factor on the side; training varies it.
    """
    longer = max(box.width, box.height)
    side = max(config.input_size, min(round(2 * longer * zoom), max(size.width, size.height)))
    x, y = box.centre
    crop = Box.centred(x, y, width=side, height=side).moved_into(size)
    return Roi(crop=crop, side=side, input_size=config.input_size)


def dilated(box: Box) -> Box:
    """A box grown by `MARGIN` of each side; what is outside is never part of its mask."""
    dx, dy = round(box.width * MARGIN), round(box.height * MARGIN)
    return Box(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy)


def roi_input(pixels: Pixels, roi: Roi, *, channels: Channels) -> npt.NDArray[np.float32]:
    """3 x S x S network input, normalised; what lies beyond the image is zero, as in SAM.

    The window is taken from the crop's own tissue at full depth; nothing is rounded to 8 bit.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
    """
    crop = np.ascontiguousarray(pixels[roi.crop.slices])
    if roi.scale < 1:
        width, height = (max(1, round(n * roi.scale)) for n in (roi.crop.width, roi.crop.height))
        crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    grey = _windowed(crop)
    if channels == "grey":
        planes = (np.clip(grey, 0, 1)[None] - SAM_MEAN[:, None, None]) / SAM_STD[:, None, None]
    else:
        planes = np.stack([(np.clip(grey, 0, 1.5) - 0.5) / 0.25, _local_contrast(crop), _specks(crop)])
    out = np.zeros((3, roi.input_size, roi.input_size), np.float32)
    out[:, : grey.shape[0], : grey.shape[1]] = planes[:, : roi.input_size, : roi.input_size]
    return out


def _windowed(crop: Pixels) -> Pixels:
    """0 at the 0.5th and 1 at the 99.9th percentile of the tissue; air has the value 0 in a mammogram."""
    tissue = crop[crop > 0]
    if not tissue.size:
        return np.zeros_like(crop)
    low, high = np.percentile(tissue, (0.5, 99.9))
    return (crop - np.float32(low)) / np.float32(max(high - low, 1e-6))


def _local_contrast(crop: Pixels) -> Pixels:
    """Deviation from the mean of the surrounding tissue, in units of its own robust spread."""
    tissue = crop > 0
    share = cv2.GaussianBlur(tissue.astype(np.float32), (0, 0), 12)
    mean = cv2.GaussianBlur(crop, (0, 0), 12) / np.maximum(share, 1e-3)
    return _in_spreads(crop - mean, tissue=tissue, limit=6.0)


def _specks(crop: Pixels) -> Pixels:
    """White top-hat: what is brighter than anything as large as `SPECK` around it, in robust spreads."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SPECK, SPECK))
    smooth = cv2.GaussianBlur(crop, (0, 0), 0.8)
    return _in_spreads(cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, disc), tissue=crop > 0, limit=12.0)


def _in_spreads(values: npt.NDArray[Any], *, tissue: npt.NDArray[np.bool_], limit: float) -> Pixels:
    """(value - median) / 1.4826 MAD of the tissue, cut at +- limit and scaled to +- 3; 0 in the air."""
    if not tissue.any():
        return np.zeros(values.shape, np.float32)
    inside = values[tissue]
    middle = np.median(inside)
    spread = 1.4826 * np.median(np.abs(inside - middle)) + 1e-6
    scaled = np.clip((values - middle) / spread, -limit, limit) * (3 / limit)
    return np.where(tissue, scaled, 0).astype(np.float32)
