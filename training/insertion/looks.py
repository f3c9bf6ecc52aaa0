"""Look: how a mammogram would have come out on another detector, film or processing; varied for training.

A look is applied in two steps, so that lesions can be inserted between them:

    expose      scale, blur, resample to the look's spacing, grey curve, grain
    digitise    compression, quantisation
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from mammo.geometry import Box
from mammo.pixels import Pixels

Medium = Literal["digital", "film", "own"]
"""`own`: as the source was taken and stored; only place, turn and a little of the size and the greys change."""

AIR = 0.02
"""Grey level below which a pixel is air, which has neither curve nor grain."""

FILM_SPACING_MM = 0.2


@dataclass(frozen=True, kw_only=True)
class Look:
    """One way to take and store an image."""

    medium: Medium
    spacing_mm: float
    """Of the result."""

    zoom: float
    """Factor on the size of the anatomy."""

    blur_mm: float
    """Standard deviation of an additional blur."""

    gamma: float
    gain: float
    base: float
    """Grey level of the darkest tissue: the fog of a film."""

    grain: float
    """Standard deviation of the noise, in grey levels of [0, 1]."""

    grain_px: float
    """Correlation of the noise: standard deviation of its blur, in pixels; 0 for white noise."""

    sharpening: float
    """Amount of an unsharp mask of 0.35 mm."""

    jpeg: int
    """Quality of JPEG compression, 1 to 100; 0 for none."""

    levels: int
    """Number of grey levels."""

    turns: int
    """Quarter turns."""

    mirrored: bool

    def placed(self, image: Pixels, *, spacing_mm: float) -> Pixels:
        """Resample, mirror and turn an image or a mask with the given spacing."""
        factor = self._factor(spacing_mm)
        if factor != 1:
            height, width = image.shape
            size = (max(1, round(width * factor)), max(1, round(height * factor)))
            interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
            image = np.asarray(cv2.resize(image, size, interpolation=interpolation), np.float32)
        return np.ascontiguousarray(np.rot90(image[:, ::-1] if self.mirrored else image, self.turns))

    def placed_box(self, box: Box, frame: Box, *, spacing_mm: float) -> Box:
        """A box of the source, in pixels of the result.

        Args:
            box: relative to `frame`.
            frame: the part of the source that is placed.
        """
        factor = self._factor(spacing_mm)
        width, height = frame.width * factor, frame.height * factor
        x0, y0, x1, y1 = (edge * factor for edge in box.as_tuple())
        if self.mirrored:
            x0, x1 = width - x1, width - x0
        for _ in range(self.turns % 4):  # counterclockwise, as `rot90` turns
            x0, y0, x1, y1 = y0, width - x1, y1, width - x0
            width, height = height, width
        return Box.around(x0, y0, x1, y1)

    def _factor(self, spacing_mm: float) -> float:
        """Pixels of the result per pixel of the source."""
        return spacing_mm * self.zoom / self.spacing_mm


def sample_look(rng: np.random.Generator, *, medium: Literal["digital", "film"], spacing_mm: float) -> Look:
    """Draw a look.

    Args:
        spacing_mm: of the source; a digital look keeps it, a film look has `FILM_SPACING_MM`.
    """
    film = medium == "film"
    return Look(
        medium=medium,
        spacing_mm=FILM_SPACING_MM if film else spacing_mm,
        zoom=float(rng.uniform(0.85, 1.2)) if film or rng.random() < 0.5 else 1.0,
        blur_mm=_sometimes(rng, 1 / 3, 0.02, 0.09) if not film else float(rng.uniform(0.04, 0.14)),
        gamma=float(np.exp(rng.uniform(-0.5, 0.45))),
        gain=float(rng.uniform(0.7, 1.0)),
        base=float(rng.uniform(0, 0.1)) if film else 0.0,
        grain=float(np.exp(rng.uniform(np.log(0.001), np.log(0.012)))) if film or rng.random() < 0.6 else 0.0,
        grain_px=_sometimes(rng, 1 / 2, 0.35, 0.9),
        sharpening=_sometimes(rng, 1 / 3, 0.1, 0.8),
        jpeg=round(_sometimes(rng, 1 / 4, 75, 97)),
        levels=256 if film or rng.random() < 0.3 else 4096,
        turns=int(rng.integers(0, 4)),
        mirrored=bool(rng.random() < 0.5),
    )


def sample_own_look(rng: np.random.Generator, *, spacing_mm: float, depth: int) -> Look:
    """Draw a look that keeps spacing, sharpness, noise and number of grey levels of its source.

    Args:
        spacing_mm: of the source.
        depth: bits per stored value of the source.
    """
    return Look(
        medium="own",
        spacing_mm=spacing_mm,
        zoom=float(rng.uniform(0.95, 1.05)) if rng.random() < 0.5 else 1.0,  # resampling blurs a little
        blur_mm=0.0,
        gamma=float(np.exp(rng.uniform(-0.08, 0.08))),
        gain=float(rng.uniform(0.95, 1.0)),
        base=0.0,
        grain=0.0,
        grain_px=0.0,
        sharpening=0.0,
        jpeg=0,
        levels=2**depth,
        turns=int(rng.integers(0, 4)),
        mirrored=bool(rng.random() < 0.5),
    )


def _sometimes(rng: np.random.Generator, share: float, low: float, high: float) -> float:
    """Draw from a range in a share of the calls, 0 in the others."""
    drawn, value = rng.random() < share, float(rng.uniform(low, high))
    return value if drawn else 0.0


def expose(pixels: Pixels, look: Look, *, spacing_mm: float, rng: np.random.Generator) -> Pixels:
    """Take an image again with another look, before digitisation.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        spacing_mm: of the pixels.

    Returns:
        H' x W', float32 in [0, 1], at the look's spacing.
    """
    image = pixels
    if look.blur_mm > 0:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), look.blur_mm / spacing_mm), np.float32)
    image = look.placed(image, spacing_mm=spacing_mm)
    image = np.clip(image, 0, 1)
    tissue = image > AIR
    if look.sharpening:
        soft = cv2.GaussianBlur(image, (0, 0), 0.35 / look.spacing_mm)
        image = np.clip(image + np.float32(look.sharpening) * (image - soft), 0, 1)
    image = np.power(image, np.float32(look.gamma)) * np.float32(look.gain - look.base)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if look.grain_px > 0:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), look.grain_px), np.float32)
        noise /= noise.std()
    image = image + np.where(tissue, np.float32(look.base) + np.float32(look.grain) * noise, 0)
    return np.ascontiguousarray(np.clip(image, 0, 1), np.float32)


def digitise(pixels: Pixels, look: Look) -> Pixels:
    """Compress and quantise: H x W float32 in [0, 1]."""
    image: Pixels = pixels
    if look.jpeg:
        _, content = cv2.imencode(
            ".jpg", np.rint(image * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, look.jpeg]
        )
        decoded = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
        assert decoded is not None, "OpenCV reads what it wrote"
        image = np.asarray(decoded.astype(np.float32) / np.float32(255), np.float32)
    top = np.float32(look.levels - 1)
    return np.asarray(np.rint(image * top) / top, np.float32)
