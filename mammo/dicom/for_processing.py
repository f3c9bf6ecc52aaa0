"""Converts raw detector values (For Processing) into an image similar to the vendor's For Presentation image.

Detector counts fall exponentially with the attenuation of the tissue, I = I0 exp(-mu t), so their negative logarithm is
proportional to it. The compressed breast becomes thinner towards the skin; peripheral equalisation (Bick et al. 1996)
adds the missing thickness and brings all tissue into one range of grey. The result differs from the vendor's processing
and is flagged as converted.
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
"""Factor by which the image is downsampled for the equalisation, which is smooth."""

SMOOTH = 0.015
"""Sigma of the low pass that estimates thickness, as a fraction of the longer side of the image (about 5 mm)."""

AIR_SHARE = 0.12
"""Threshold between air and tissue, as a fraction of the range from the minimum to the 99th percentile."""

DARKEST, BRIGHTEST = 0.06, 0.95
"""Grey values of the 1st and the 99.9th percentile of the equalised breast; air is 0."""


@dataclass(frozen=True)
class DetectorScale:
    """Relationship between detector counts and X-ray intensity (PS3.3 C.8.11.3.1.2)."""

    logarithmic: bool = False
    """PixelIntensityRelationship LOG: the counts are logarithms of the intensity."""

    falling: bool = False
    """PixelIntensityRelationshipSign -1: lower intensity (more tissue) has higher counts."""


def detector_scale(dataset: Dataset) -> DetectorScale:
    """Read the scale from a data set; linear and rising by default."""
    return DetectorScale(
        logarithmic=text(dataset, "PixelIntensityRelationship").upper() == "LOG",
        falling=numbers(dataset, "PixelIntensityRelationshipSign") == (-1.0,),
    )


def to_presentation(stored: StoredImage, scale: DetectorScale) -> StoredImage:
    """Convert raw detector values for presentation: logarithm, inversion, peripheral equalisation.

    Returns:
        An image of the same geometry and depth with `converted` set, dense tissue bright, without a VOI window.
    """
    tissue = _attenuation(stored, scale)
    height, width = tissue.shape
    small = _resized(tissue, height // SCALE or 1, width // SCALE or 1, how=cv2.INTER_AREA)
    threshold = float(small.min()) + AIR_SHARE * float(np.percentile(small, 99) - small.min())
    breast = small > threshold
    if breast.any():
        missing = _missing_thickness(small, breast)
        tissue += _resized(missing, height, width, how=cv2.INTER_LINEAR)
    inside = _resized(breast.astype(np.float32), height, width, how=cv2.INTER_NEAREST) > 0
    if stored.padding is not None:
        inside &= ~stored.padding
    sample = tissue[inside][::7] if inside.any() else tissue.ravel()[::7]
    low, high = (float(value) for value in np.percentile(sample, (1, 99.9)))
    grey = DARKEST + (tissue - low) * ((BRIGHTEST - DARKEST) / max(high - low, 1e-6))
    grey *= _smoothed(inside.astype(np.float32), SCALE / 2)  # black air, with a smooth transition at the skin
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
    """H x W, proportional to the attenuation; from a lookup table over all levels (at most 65 536).

    PhotometricInterpretation concerns display only; the direction of the counts follows from the declared relationship.
    """
    counts: Plane = np.arange(2**stored.depth, dtype=np.float32)
    if scale.falling:
        counts = counts[::-1]
    table = -counts / counts.max() if scale.logarithmic else -np.log1p(counts)
    return np.take(table.astype(np.float32), stored.levels)


def _missing_thickness(small: Plane, breast: npt.NDArray[np.bool_]) -> Plane:
    """Missing attenuation of a pixel's surroundings relative to the median of the breast; at least 0, and 0 in air."""
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
