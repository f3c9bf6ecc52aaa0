"""Features: a finding with an outline as 35 numbers, from which a small head tells morphology and distribution.

    shape of the mask       5    elongation, length, area, solidity, direction
    cloud of specks         8    number, elongation, length, width, widening, distance, direction, thickness
    shapes of the specks   20    median, spread and percentiles of elongation, area, contrast, solidity, sharpness
    pixel spacing           1
    detector's score        1

Lengths are in mm and mostly logarithms, so that vendors and spacings compare. docs/experiments.md (2026-12-01) says
which numbers count.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mammo.dicom import Mammogram
from mammo.findings import Finding
from mammo.geometry import ASSUMED_SPACING, Point
from mammo.masks import Mask
from mammo.pixels import Pixels
from mammo.prompts import PROMPT_SPACING_MM, robust_points

Floats = npt.NDArray[np.float64]

NUM_FEATURES = 35

MAX_SPECKS = 64
"""Maximum number of specks that are looked for in a mask."""

MAX_PARTICLES = 24
"""Maximum number of specks whose shape is measured, strongest first."""

MIN_PIXELS = 3
"""Least number of pixels of a mask that has a shape."""


def features(mammogram: Mammogram, finding: Finding) -> Floats | None:
    """Return the features of a finding: 35 finite numbers.

    None for a finding without an outline, and on an image without a pixel spacing: its lengths are not known.
    """
    mask, spacing = finding.mask, mammogram.spacing
    if mask is None or spacing is None or mask.area < MIN_PIXELS:
        return None
    mm, specks = spacing.mean_mm, specks_of(mammogram, mask)
    return np.array(
        [
            *_shape(mask, mm),
            *_cloud(specks, mm),
            *_particles(mammogram.pixels, mask, specks, mm),
            np.log(mm),
            finding.score,
        ]
    )


def specks_of(mammogram: Mammogram, mask: Mask) -> tuple[Point, ...]:
    """Return the specks in a mask by the robust prompt rule, strongest first, at most `MAX_SPECKS`."""
    spacing = mammogram.spacing or ASSUMED_SPACING
    found = robust_points(
        mammogram.pixels,
        mask.frame.within(mammogram.size),
        count=MAX_SPECKS,
        spacing=spacing.pixels(PROMPT_SPACING_MM),
        mm_per_pixel=spacing.mean_mm,
    )
    return tuple(point for point in found if mask.holds(point))


def _shape(mask: Mask, mm: float) -> list[float]:
    """Elongation, length, area, solidity and direction of a mask."""
    ys, xs = np.nonzero(mask.bitmap)
    spread, axes = np.linalg.eigh(np.cov(np.stack([xs, ys]) * mm) + 1e-6 * np.eye(2))
    spread = np.maximum(spread, 1e-4)
    hull = cv2.contourArea(cv2.convexHull(np.stack([xs, ys], 1).astype(np.int32)))
    area = int(mask.bitmap.sum())
    return [
        float(np.log(spread[1] / spread[0]) / 2),
        float(np.log(np.sqrt(spread[1]))),
        float(np.log(area * mm**2)),
        area / max(hull, 1.0),
        abs(float(axes[0, 1])),
    ]


def _cloud(specks: tuple[Point, ...], mm: float) -> list[float]:
    """Number, elongation, length, width, widening, distances and direction of the specks."""
    at = np.array([(speck.x, speck.y) for speck in specks], np.float64).reshape(-1, 2) * mm
    if len(at) < 4:
        return [float(np.log1p(len(at))), *[0.0] * 7]
    centred = at - at.mean(0)
    spread, axes = np.linalg.eigh(np.cov(centred.T) + 1e-3 * np.eye(2))
    along, across = centred @ axes[:, 1], centred @ axes[:, 0]
    length, width = (float(np.subtract(*np.percentile(each, (90, 10)))) for each in (along, across))
    # Specks in a line have no width that could widen.
    widens = len(at) > 4 and min(np.abs(across).std(), along.std()) > 0
    widening = float(np.corrcoef(np.abs(across), along)[0, 1]) if widens else 0.0
    distances = np.linalg.norm(at[:, None] - at[None], axis=2) + 1e9 * np.eye(len(at))
    return [
        float(np.log1p(len(at))),
        float(np.log(spread[1] / spread[0]) / 2),
        float(np.log(length + 0.1)),
        float(np.log(width + 0.1)),
        abs(widening),
        float(np.log(np.median(distances.min(1)) + 0.05)),
        abs(float(axes[0, 1])),
        float(np.log(np.sqrt(spread[0]))),
    ]


def _particles(pixels: Pixels, mask: Mask, specks: tuple[Point, ...], mm: float) -> list[float]:
    """Median, spread and percentiles of elongation, area, contrast, solidity and sharpness of the specks."""
    frame = mask.frame.dilated(12)
    x0, y0 = max(0, frame.x0), max(0, frame.y0)
    crop = np.ascontiguousarray(pixels[y0 : frame.y1, x0 : frame.x1], np.float32)
    side = max(3, 2 * round((1.05 / mm - 1) / 2) + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    contrast = cv2.morphologyEx(cv2.GaussianBlur(crop, (0, 0), 0.8), cv2.MORPH_TOPHAT, disc)
    local = crop - np.asarray(cv2.GaussianBlur(crop, (0, 0), 0.84 / mm), np.float32)
    noise = 1.4826 * float(np.median(np.abs(local - np.median(local)))) + 1e-6
    reach = int(np.ceil(0.6 / mm))
    rows = []
    for speck in specks[:MAX_PARTICLES]:
        x, y = speck.x - x0, speck.y - y0
        top, left = max(0, y - reach), max(0, x - reach)
        patch = np.asarray(contrast[top : y + reach + 1, left : x + reach + 1])
        peak = float(patch[y - top, x - left])
        if peak <= 0:
            continue
        half, wide = (_part(patch > share * peak, y - top, x - left) for share in (0.5, 0.3))
        ys, xs = np.nonzero(half)
        weights, at = patch[ys, xs], np.stack([xs, ys], 1) * mm
        offset = at - (at * weights[:, None]).sum(0) / weights.sum()
        axes = np.linalg.eigvalsh(
            (offset * weights[:, None]).T @ offset / weights.sum() + mm**2 / 12 * np.eye(2)
        )
        hull = cv2.convexHull(np.argwhere(wide)[:, ::-1].astype(np.int32))
        rows.append(
            [
                np.log(axes[1] / axes[0]) / 2 if len(ys) > 2 else 0.0,
                np.log(half.sum() * mm**2),
                peak / noise,
                wide.sum() / (cv2.contourArea(hull) + 0.5 * len(hull)),
                np.log(wide.sum() / half.sum()),
            ]
        )
    if not rows:
        return [0.0] * 20
    table = np.array(rows)
    return [*np.median(table, 0), *table.std(0), *np.percentile(table, 85, 0), *np.percentile(table, 15, 0)]


def _part(bitmap: npt.NDArray[np.bool_], y: int, x: int) -> npt.NDArray[np.bool_]:
    """Return the connected part at a pixel."""
    labels = cv2.connectedComponents(bitmap.astype(np.uint8))[1]
    return np.asarray(labels == labels[y, x])
