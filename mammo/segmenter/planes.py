"""Network input of a region: three normalised planes, computed at full bit depth with filters sized in mm."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mammo.errors import UnreadableImage
from mammo.geometry import ASSUMED_SPACING
from mammo.pixels import Pixels
from mammo.segmenter.config import Channels
from mammo.segmenter.roi import Roi

SAM_MEAN = np.array([123.675, 116.28, 103.53], np.float32) / 255
SAM_STD = np.array([58.395, 57.12, 57.375], np.float32) / 255
"""SAM's normalisation of red, green and blue."""

SPECK_MM = 1.05
"""Diameter of the largest calcification: the size of the top-hat filter."""

NEIGHBOURHOOD_MM = 0.84
"""Standard deviation of the Gaussian that averages the surrounding tissue."""

MAX_FILTER = 129
"""Maximum side of a filter, in pixels; protects against implausibly small spacings."""


def roi_input(pixels: Pixels, roi: Roi, *, channels: Channels) -> npt.NDArray[np.float32]:
    """Compute the 3 x S x S network input of a region, normalised; zero beyond the image, as in SAM.

    The window is computed from the tissue of the crop, at full bit depth. A crop larger than the input is downsampled
    before the filters, a smaller one upsampled (bicubic) after them.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        roi: the region.
        channels: see `MlsamConfig.channels`.

    Raises:
        UnreadableImage: a pixel of the region is NaN or infinite (`not_finite`).
    """
    crop = np.ascontiguousarray(pixels[roi.crop.slices])
    num_invalid = crop.size - int(np.count_nonzero(np.isfinite(crop)))
    if num_invalid:
        raise UnreadableImage(
            f"{num_invalid} of the {crop.size} pixels of the region {roi.crop.as_tuple()} are NaN or infinite, not "
            "numbers in [0, 1]; read the file again, or set invalid pixels to 0",
            code="not_finite",
        )
    if roi.scale < 1:
        crop = _resized(crop, roi, cv2.INTER_AREA)
    planes = _planes(crop, mm_per_pixel=_mm_per_pixel(roi), channels=channels)
    if roi.scale > 1:
        planes = [_resized(plane, roi, cv2.INTER_CUBIC) for plane in planes]
    out = np.zeros((3, roi.input_size, roi.input_size), np.float32)
    height, width = (min(n, roi.input_size) for n in planes[0].shape)
    for target, plane in zip(out, planes, strict=True):
        target[:height, :width] = plane[:height, :width]
    return out


def _mm_per_pixel(roi: Roi) -> float:
    """Spacing of the pixels that the filters process."""
    return (roi.spacing or ASSUMED_SPACING).mean_mm / min(roi.scale, 1.0)


def _resized(plane: Pixels, roi: Roi, interpolation: int) -> Pixels:
    width, height = (max(1, round(n * roi.scale)) for n in (plane.shape[1], plane.shape[0]))
    return cv2.resize(plane, (width, height), interpolation=interpolation)  # type: ignore[return-value]


def _planes(crop: Pixels, *, mm_per_pixel: float, channels: Channels) -> list[Pixels]:
    """Three planes of the size of the crop; see `MlsamConfig.channels`."""
    grey = _windowed(crop)
    if channels == "grey":
        clipped = np.clip(grey, 0, 1)
        return [(clipped - mean) / std for mean, std in zip(SAM_MEAN, SAM_STD, strict=True)]
    return [
        (np.clip(grey, 0, 1.5) - 0.5) / 0.25,
        _local_contrast(crop, sigma=min(NEIGHBOURHOOD_MM / mm_per_pixel, MAX_FILTER / 6)),
        _specks(crop, diameter=odd(SPECK_MM / mm_per_pixel)),
    ]


def odd(diameter: float) -> int:
    """Round to the nearest odd number of pixels, clipped to [3, MAX_FILTER]."""
    return min(max(2 * round((diameter - 1) / 2) + 1, 3), MAX_FILTER)


def _windowed(crop: Pixels) -> Pixels:
    """Map the 0.5th and the 99.9th percentile of the tissue to 0 and 1; air, which is 0 in a mammogram, is excluded."""
    tissue = crop[crop > 0]
    if not tissue.size:
        return np.zeros_like(crop)
    low, high = np.percentile(tissue, (0.5, 99.9))
    return (crop - np.float32(low)) / np.float32(max(high - low, 1e-6))


def _local_contrast(crop: Pixels, *, sigma: float) -> Pixels:
    """Deviation from the mean of the surrounding tissue, in robust standard deviations."""
    tissue = crop > 0
    share = cv2.GaussianBlur(tissue.astype(np.float32), (0, 0), sigma)
    mean = cv2.GaussianBlur(crop, (0, 0), sigma) / np.maximum(share, 1e-3)
    return _standardised(crop - mean, tissue=tissue, limit=6.0)


def _specks(crop: Pixels, *, diameter: int) -> Pixels:
    """White top-hat with a disc of `diameter` pixels, in robust standard deviations."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    smooth = cv2.GaussianBlur(crop, (0, 0), 0.8)
    return _standardised(cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, disc), tissue=crop > 0, limit=12.0)


def _standardised(values: npt.NDArray[Any], *, tissue: npt.NDArray[np.bool_], limit: float) -> Pixels:
    """(value - median) / (1.4826 MAD) over the tissue, clipped to +- limit and scaled to +- 3; 0 in air."""
    if not tissue.any():
        return np.zeros(values.shape, np.float32)
    inside = values[tissue]
    median = np.median(inside)
    spread = 1.4826 * np.median(np.abs(inside - median)) + 1e-6
    scaled = np.clip((values - median) / spread, -limit, limit) * (3 / limit)
    return np.where(tissue, scaled, 0).astype(np.float32)
