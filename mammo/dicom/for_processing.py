"""Raw detector values (For Processing) become something like what the vendor would present.

Detector counts fall exponentially with the tissue in the way, so their negative logarithm is proportional to it. The
compressed breast thins out towards the skin; adding back what is missing there (peripheral equalisation, Bick et al.
1996) leaves all its tissue in one range of grey. This is no vendor's processing, so the result is flagged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mammo.dicom.dataset import numbers, text
from mammo.dicom.stored_image import StoredImage

Plane = npt.NDArray[np.float32]

SCALE = 16
"""The equalisation is computed on an image this many times smaller; it is smooth anyway."""

SMOOTH = 0.015
"""Sigma of the low pass that estimates thickness, as a share of the image's longer side (about 5 mm)."""

AIR_SHARE = 0.12
"""Tissue begins at this share of the way from air to the 99th percentile."""

DARKEST, BRIGHTEST = 0.06, 0.95
"""Where the 1st and the 99.9th percentile of the equalised breast come to lie; air is 0."""


@dataclass(frozen=True)
class DetectorScale:
    """How the counts relate to the X-ray intensity (PS3.3 C.8.11.3.1.2)."""

    logarithmic: bool = False
    """PixelIntensityRelationship LOG: the logarithm was already taken."""

    falling: bool = False
    """PixelIntensityRelationshipSign -1: less intensity, more tissue, has the higher value."""


def detector_scale(dataset: Dataset) -> DetectorScale:
    """The scale that a data set declares; linear and rising when it is silent."""
    return DetectorScale(
        logarithmic=text(dataset, "PixelIntensityRelationship").upper() == "LOG",
        falling=numbers(dataset, "PixelIntensityRelationshipSign") == (-1.0,),
    )


def presentable(stored: StoredImage, scale: DetectorScale) -> StoredImage:
    """Take the logarithm, invert, equalise.

    Returns:
        The same geometry and depth, dense tissue bright, `converted`, to be shown by percentiles.
    """
    tissue = _attenuation(stored, scale)
    height, width = tissue.shape
    small = _resized(tissue, height // SCALE or 1, width // SCALE or 1, how=cv2.INTER_AREA)
    least = float(small.min()) + AIR_SHARE * float(np.percentile(small, 99) - small.min())
    breast = small > least
    if breast.any():
        missing = _missing_thickness(small, breast)
        tissue += _resized(missing, height, width, how=cv2.INTER_LINEAR)
    inside = _resized(breast.astype(np.float32), height, width, how=cv2.INTER_NEAREST) > 0
    if stored.padding is not None:
        inside &= ~stored.padding
    sample = tissue[inside][::7] if inside.any() else tissue.ravel()[::7]
    low, high = (float(value) for value in np.percentile(sample, (1, 99.9)))
    grey = DARKEST + (tissue - low) * ((BRIGHTEST - DARKEST) / max(high - low, 1e-6))
    grey *= _smoothed(inside.astype(np.float32), SCALE / 2)  # air is black, and the skin no step
    top = 2**stored.depth - 1
    return replace(
        stored,
        levels=np.round(np.clip(grey, 0, 1) * top).astype(np.uint16),
        offset=0,
        slope=1.0,
        intercept=0.0,
        inverted=False,
        voi=None,
        converted=True,
    )


def _attenuation(stored: StoredImage, scale: DetectorScale) -> Plane:
    """H x W, proportional to the tissue in the way; by table, as there are at most 65 536 levels.

    PhotometricInterpretation is about display and says nothing about counts; only the declared relationship does.
    """
    counts: Plane = np.arange(2**stored.depth, dtype=np.float32)
    if scale.falling:
        counts = counts[::-1]
    table = -counts / counts.max() if scale.logarithmic else -np.log1p(counts)
    return np.take(table.astype(np.float32), stored.levels)


def _missing_thickness(small: Plane, breast: npt.NDArray[np.bool_]) -> Plane:
    """How much less a pixel's surroundings attenuate than the middle of the breast does; never negative."""
    sigma = max(1.0, SMOOTH * max(small.shape))
    weight = _smoothed(breast.astype(np.float32), sigma)
    smooth = _smoothed(np.where(breast, small, 0).astype(np.float32), sigma)
    thickness = smooth / np.maximum(weight, np.float32(1e-3))
    plateau = float(np.median(small[breast]))
    return np.where(breast, np.maximum(plateau - thickness, 0), 0).astype(np.float32)


def _resized(plane: Plane, height: int, width: int, *, how: int) -> Plane:
    return np.asarray(cv2.resize(plane, (width, height), interpolation=how), np.float32)


def _smoothed(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
