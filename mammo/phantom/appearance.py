"""A vendor's detector and image processing: from attenuation to stored grey levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mammo.phantom.texture import Field


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """One vendor's look. A model trained on one vendor loses findings on another: a domain shift."""

    name: str
    width: int = 2560
    """Columns of the image receptor."""

    height: int = 3328
    """Rows of the image receptor."""

    spacing_mm: float = 0.07
    bits: int = 12
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    """Photometric interpretation of written files; in the phantom's arrays dense tissue is always bright."""

    black: float = 0.30
    """Relative attenuation displayed as black."""

    white: float = 2.75
    """Relative attenuation displayed as white."""

    gamma: float = 1.0
    """Exponent of the grey curve: below 1 brightens fatty tissue and flattens dense tissue."""

    noise: float = 0.085
    """Standard deviation of the quantum noise, in relative attenuation."""

    grain: float = 0.42
    """Correlation of the noise: weight of each neighbour, 0 (white noise) to 1."""

    blur: float = 0.6
    """Standard deviation of the detector's point spread function, in pixels."""

    sharpening: float = 0.0
    """Amount of the unsharp mask; 0 disables it."""

    sharpening_mm: float = 0.35
    """Standard deviation of the unsharp mask, in mm."""

    calcification_contrast: float = 1.0
    """Factor on the contrast of calcifications; lower for a harder beam."""

    hot_pixels: int = 6
    """Number of saturated single pixels per view."""


def vendor_a() -> Appearance:
    """Linear, moderately sharp, low noise: the vendor that the starter weights are trained on."""
    return Appearance(name="vendor_a")


def vendor_b() -> Appearance:
    """Larger pixels, coarse noise, soft edges with a halo, a flattened grey scale; MONOCHROME1 with 14 bits."""
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
    """Edges enhanced at the scale of septa and calcifications; a grey scale that keeps dense tissue dark.

    The sharpest of the three vendors, and the closest to processed clinical images in fine structure and median grey.
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
    """Draw slightly correlated, signal-dependent noise: H x W, in relative attenuation."""
    noise = rng.standard_normal(attenuation.shape, dtype=np.float32)
    kernel = np.array([appearance.grain, 1, appearance.grain], np.float32)
    kernel /= np.sqrt((kernel**2).sum())  # keeps unit variance
    cv2.sepFilter2D(noise, cv2.CV_32F, kernel, kernel, dst=noise, borderType=cv2.BORDER_REFLECT)
    noise *= np.float32(appearance.noise) * (1 + np.float32(0.3) * attenuation)
    return noise


def grey_levels(
    image: Field, air: npt.NDArray[np.bool_], appearance: Appearance, *, spacing_mm: float
) -> npt.NDArray[np.uint16]:
    """Process for presentation: unsharp mask, grey curve, quantisation; air becomes 0.

    Args:
        image: H x W, relative attenuation with noise; changed in place.
        air: H x W, True outside the breast.
        appearance: vendor.
        spacing_mm: pixel spacing.

    Returns:
        H x W in [0, 2**bits - 1].
    """
    if appearance.sharpening:
        smooth = cv2.GaussianBlur(image, (0, 0), appearance.sharpening_mm / spacing_mm)
        cv2.addWeighted(image, 1 + appearance.sharpening, smooth, -appearance.sharpening, 0, dst=image)
    image -= np.float32(appearance.black)
    image *= np.float32(1 / (appearance.white - appearance.black))
    np.clip(image, 0, 1, out=image)
    if appearance.gamma != 1:
        np.power(image, np.float32(appearance.gamma), out=image)
    image *= np.float32(2**appearance.bits - 1)
    image[air] = 0
    return image.astype(np.uint16)
