"""What a vendor's detector and image processing make of the attenuation of a breast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """One vendor's look. Two of them make a domain shift: a model trained on one loses findings on the other."""

    name: str
    width: int = 2560
    """Columns of a view."""

    height: int = 3328
    """Rows of a view."""

    spacing_mm: float = 0.07
    bits: int = 12
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    """How files are stored; the phantom's own arrays are always dense bright."""

    black: float = 0.30
    """Relative attenuation that is shown black."""

    white: float = 2.75
    """Relative attenuation that is shown white."""

    gamma: float = 1.0
    """Grey = linear grey ** gamma: below 1 lifts the dark (fatty) tissue and flattens the dense."""

    noise: float = 0.085
    """Standard deviation of the quantum noise, in relative attenuation."""

    grain: float = 0.42
    """Correlation of the noise: share of each neighbour, 0 (white) to 1."""

    blur: float = 0.6
    """Standard deviation of the detector's point spread, in pixels."""

    sharpening: float = 0.0
    """Edge enhancement: amount of the unsharp mask of the processing; 0 is none."""

    sharpening_mm: float = 0.35
    """Radius of the unsharp mask."""

    calcification_contrast: float = 1.0
    """Factor on the contrast of calcifications: a harder beam shows less."""

    hot_pixels: int = 6


def vendor_a() -> Appearance:
    """Linear, moderately sharp and clean: the look the starter weights know."""
    return Appearance(name="vendor_a")


def vendor_b() -> Appearance:
    """Larger pixels, coarse grain, soft edges with a halo, a flattened grey scale, stored as MONOCHROME1 in 14 bits."""
    return Appearance(
        name="vendor_b",
        width=1912,
        height=2288,
        spacing_mm=0.094,
        bits=14,
        photometric="MONOCHROME1",
        black=0.2,
        white=3.2,
        gamma=0.6,
        noise=0.07,
        grain=0.7,
        blur=0.8,
        sharpening=0.8,
        sharpening_mm=0.5,
        calcification_contrast=0.75,
        hot_pixels=24,
    )


def vendor_c() -> Appearance:
    """Edge-enhanced at the scale of septa and calcifications, with a grey scale that keeps dense tissue dark.

    The sharpest of the three, and the nearest to processed clinical images in fine structure and median grey.
    """
    return Appearance(
        name="vendor_c",
        black=0.0,
        white=2.5,
        gamma=1.6,
        noise=0.045,
        sharpening=0.35,
        sharpening_mm=0.25,
    )


def quantum_noise(rng: np.random.Generator, attenuation: Field, appearance: Appearance) -> Field:
    """Slightly correlated, signal-dependent noise, H x W, in relative attenuation."""
    noise = rng.standard_normal(attenuation.shape, dtype=np.float32)
    kernel = np.array([appearance.grain, 1, appearance.grain], np.float32)
    kernel /= np.sqrt((kernel**2).sum())  # unit variance is kept
    cv2.sepFilter2D(noise, cv2.CV_32F, kernel, kernel, dst=noise, borderType=cv2.BORDER_REFLECT)
    noise *= np.float32(appearance.noise) * (1 + np.float32(0.3) * attenuation)
    return noise


def grey_levels(
    exposed: Field, air: npt.NDArray[np.bool_], appearance: Appearance, *, spacing_mm: float
) -> npt.NDArray[np.uint16]:
    """Processing for presentation: unsharp mask, grey curve, quantisation; air becomes 0.

    Args:
        exposed: H x W relative attenuation with noise; changed in place.
        air: H x W, True outside the breast.
    """
    if appearance.sharpening:
        smooth = cv2.GaussianBlur(exposed, (0, 0), appearance.sharpening_mm / spacing_mm)
        cv2.addWeighted(exposed, 1 + appearance.sharpening, smooth, -appearance.sharpening, 0, dst=exposed)
    exposed -= np.float32(appearance.black)
    exposed *= np.float32(1 / (appearance.white - appearance.black))
    np.clip(exposed, 0, 1, out=exposed)
    if appearance.gamma != 1:
        np.power(exposed, np.float32(appearance.gamma), out=exposed)
    exposed *= np.float32(2**appearance.bits - 1)
    exposed[air] = 0
    return exposed.astype(np.uint16)
