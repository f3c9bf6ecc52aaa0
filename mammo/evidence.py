"""Evidence: what is shown of a finding besides its outline: its size, its specks, and the confidence of the model.

Specks are counted by the contrast that the robust prompt rule uses. A speck is a local maximum in the mask whose
contrast exceeds the median of the surroundings by `MIN_NOISE` times their noise; no two are closer than `SPECK_GAP_MM`.
On phantoms it counts 0.8 times the calcifications that the mask holds, in the median (docs/benchmarks.md): specks that
touch are one, and the faintest are none. So the number is stated as an approximation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammo.geometry import ASSUMED_SPACING, Spacing
from mammo.masks import Mask
from mammo.pixels import Pixels, size_of
from mammo.prompts import contrast_noise, peaks, speck_contrast

MIN_NOISE = 4.0
"""Contrast of a speck above that of its surroundings, in standard deviations of their noise."""

SPECK_GAP_MM = 0.5
"""Least distance between two specks, in mm; about the nearest-neighbour distance within a cluster."""

MAX_SPECKS = 128
"""Largest number of specks that is counted."""

LIKELY_ODDS = 2.0
"""Odds of a likely finding, in multiples of the odds at the detector's operating point."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Measurements of one finding."""

    width: float
    """Width of the mask's frame, in mm; in pixels without a pixel spacing."""

    height: float
    in_mm: bool
    num_specks: int
    """At most `MAX_SPECKS`."""

    contrast: float | None
    """Median contrast of the specks, in standard deviations of the noise around them; None without specks."""

    def text(self) -> str:
        """Return the measurements for a reader, for example `7.1 x 4.9 mm, about 12 specks, contrast 9.8`."""
        size = (
            f"{self.width:.1f} x {self.height:.1f} mm"
            if self.in_mm
            else f"{self.width:.0f} x {self.height:.0f} pixels"
        )
        if self.contrast is None:
            return f"{size}, no speck stands out"
        specks = "1 speck" if self.num_specks == 1 else f"about {self.num_specks} specks"
        return f"{size}, {specks}, contrast {self.contrast:.1f}"


def evidence(pixels: Pixels, mask: Mask, *, spacing: Spacing | None) -> Evidence:
    """Measure a finding.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright, full bit depth.
        mask: the finding's pixels, inside the image, at least one.
        spacing: pixel spacing; None when unknown: the size is then in pixels.
    """
    frame = mask.frame.within(size_of(pixels))
    pixel = spacing or ASSUMED_SPACING
    contrast = speck_contrast(pixels, frame, mm_per_pixel=pixel.mean_mm)
    middle, noise = contrast_noise(contrast)
    specks = []
    if noise > 0:
        inside = np.where(mask.bitmap[frame.shifted(-mask.x0, -mask.y0).slices], contrast, 0)
        specks = peaks(
            inside,
            frame,
            count=MAX_SPECKS,
            spacing=pixel.pixels(SPECK_GAP_MM),
            minimum=middle + MIN_NOISE * noise,
        )
    levels = [float(contrast[point.y - frame.y0, point.x - frame.x0]) for point in specks]
    return Evidence(
        width=frame.width * (spacing.column_mm if spacing else 1.0),
        height=frame.height * (spacing.row_mm if spacing else 1.0),
        in_mm=spacing is not None,
        num_specks=len(specks),
        contrast=(float(np.median(levels)) - middle) / noise if levels else None,
    )


def num_calcifications(pixels: Pixels, mask: Mask | None, *, spacing: Spacing | None) -> int | None:
    """Return the number of a finding's calcifications as results state it.

    None without a mask; where no speck stands out, because that counts the specks and not the calcifications; and where
    there are as many as are counted at most.
    """
    if mask is None:
        return None
    count = evidence(pixels, mask, spacing=spacing).num_specks
    return count if 0 < count < MAX_SPECKS else None


def in_words(score: float, *, threshold: float) -> str:
    """Return `likely` or `possible` for the score of a finding.

    A finding is likely if its odds are at least `LIKELY_ODDS` times those at the operating point.

    Args:
        score: of the detector, in [0, 1].
        threshold: the model's operating point, in [0, 1].
    """
    likely = score * (1 - threshold) >= LIKELY_ODDS * threshold * (1 - score)
    return "likely" if likely else "possible"
