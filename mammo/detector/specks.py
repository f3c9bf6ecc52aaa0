"""Weighs detections by the contrast of their specks.

The network sees contrast relative to the spread of the whole breast, so a line of tissue in a busy breast can look as
much like a cluster as faint specks in a smooth one. Here the specks of a box are measured against the noise around
them, as those of a finding are (`mammo.evidence`), and the odds p / (1 - p) of the detection are multiplied by

    f = prod_k ((1 + min(z_k, Z)) / (1 + Z)) ** (w / K)  <= 1

    z_k   contrast of the k-th strongest speck above the median, in standard deviations of the noise; 0 if there is none
    K, Z  `NUM_SPECKS`, `MAX_STRENGTH`
    w     `DetectorSpec.speck_weight`, which belongs to the weights; with 0 the scores are the network's alone

So specks as strong as Z leave a score as it is, and weaker ones lower it. docs/experiments.md (2026-12-02) has what was
gained, and which other measures were tried.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.detector.tiling import Detection
from mammo.geometry import ASSUMED_SPACING, Box, Spacing
from mammo.pixels import Pixels, size_of
from mammo.prompts import PROMPT_SPACING_MM, contrast_noise, peaks, speck_contrast

NUM_SPECKS = 8
MAX_STRENGTH = 20.0

MIN_STRENGTH = 2.5
"""Least contrast of a speck, in standard deviations of the noise; a weaker one counts as none."""

MARGIN_MM = 2.0
"""Width of the surroundings of a box in which the noise is measured too."""


def weigh(
    detections: Sequence[Detection], pixels: Pixels, *, spacing: Spacing | None, weight: float
) -> list[Detection]:
    """Return the detections with their scores weighed by their specks, best first.

    Args:
        detections: with boxes in the frame of `pixels`.
        pixels: H x W, float32 in [0, 1], dense tissue bright, native resolution.
        spacing: pixel spacing; None when unknown.
        weight: exponent w of the equation above, at least 0.
    """
    weighed = []
    for each in detections:
        strengths = speck_strengths(pixels, each.box, spacing=spacing)
        factor = float(np.exp(weight * np.log((1 + strengths) / (1 + MAX_STRENGTH)).mean()))
        odds = each.score * factor
        weighed.append(Detection(each.box, odds / (1 - each.score + odds)))
    return sorted(weighed, key=lambda each: (-each.score, each.box.as_tuple()))


def speck_strengths(pixels: Pixels, box: Box, *, spacing: Spacing | None) -> npt.NDArray[np.float64]:
    """Return the contrast of the `NUM_SPECKS` strongest specks of a box, in standard deviations of the noise.

    Args:
        pixels, spacing: see `weigh`.
        box: inside the image.

    Returns:
        `NUM_SPECKS` values in [0, `MAX_STRENGTH`], descending; 0 for specks that are missing.
    """
    pixel = spacing or ASSUMED_SPACING
    frame = box.dilated(round(MARGIN_MM / pixel.mean_mm)).within(size_of(pixels))
    contrast = speck_contrast(pixels, frame, mm_per_pixel=pixel.mean_mm)
    middle, noise = contrast_noise(contrast)
    strengths = np.zeros(NUM_SPECKS)
    if noise > 0:
        inside = contrast[box.shifted(-frame.x0, -frame.y0).slices]
        gap = pixel.pixels(PROMPT_SPACING_MM)
        points = peaks(inside, box, count=NUM_SPECKS, spacing=gap, minimum=middle + MIN_STRENGTH * noise)
        levels = np.array([float(inside[point.y - box.y0, point.x - box.x0]) for point in points])
        strengths[: len(points)] = (levels - middle) / noise
    return np.minimum(strengths, MAX_STRENGTH)
