"""Texture of phantoms beside that of real mammograms: the background sets that this site has added.

Every image is brought to 0.2 mm, the spacing of film scans, and measured inside the breast, away from its edge:

    tail         99th percentile of |b| / (2.576 x 1.4826 median |b|), b = band of calcification size; 1 if Gaussian
    noise        robust deviation of b / range of grey levels (5th to 95th percentile)
    slope        exponent of the power spectrum 1 / f**slope between 0.15 and 1.0 per mm (Burgess et al. 2001: near 3)
    coherence    median coherence of the structure tensor of lines of 0.6 to 1.5 mm, in [0, 1] (Bigun and Granlund 1987)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.result import Result
from mammo.detector.normalise import CELL, find_breast
from mammo.phantom.texture import difference_of_gaussians
from mammo.phantom.view import phantom_view
from mammo.pixels import Pixels
from mammo.site import Site
from training.cases import silent
from training.insertion.material import MaterialPlan, write_material

SPACING_MM = 0.2
VIEWS = 12
"""Phantoms of each kind."""

BAND_MM = (0.2, 0.5)
LINES_MM = (0.6, 1.5)
"""Fine and coarse standard deviations of the two bands."""

EDGE_MM = 8.0
"""Left out along the edge of the breast."""

PATCH = 128
"""Side of the patches of the power spectrum, in pixels: 25.6 mm."""

Interior = npt.NDArray[np.bool_]


class Texture(NamedTuple):
    """The statistics of one image."""

    tail: float
    noise: float
    slope: float
    coherence: float


def run() -> Result:
    groups: dict[str, Iterable[Pixels]] = {
        f"real: {each.name}": _real(each.name) for each in Site.load().backgrounds.sets() if each.backgrounds
    }
    groups["phantoms of vendor_a"] = _vendor_a()
    with tempfile.TemporaryDirectory() as folder:
        for name, plan in (
            ("randomised phantoms", MaterialPlan(**_counts(phantoms=VIEWS), lesions=False, seed=900_000)),
            (
                "randomised, film look",
                MaterialPlan(**_counts(film_phantoms=VIEWS), lesions=False, seed=910_000),
            ),
        ):
            groups[name] = _drawn(plan, Path(folder) / name)
        rows = [_row(name, images) for name, images in groups.items()]
    return Result(
        title="Phantoms, texture beside real mammograms",
        method=f"Median (quartiles) over images at {SPACING_MM} mm, inside the breast; "
        "`benchmarks/phantom_statistics.py` defines the columns. Real images are those of the background sets added "
        "here, without clusters;",
        columns=("images", "number", "tail", "noise", "slope", "coherence"),
        rows=rows,
    )


def _counts(**given: int) -> dict[str, int]:
    return {"phantoms": 0, "film_phantoms": 0, "digital_copies": 0, "film_copies": 0} | given


def _real(name: str) -> Iterator[Pixels]:
    for each in Site.load().backgrounds.get(name).backgrounds:
        mammogram = each.read()
        assert mammogram.spacing, "a background states its spacing"
        yield _resampled(mammogram.pixels, mammogram.spacing.mean_mm)


def _vendor_a() -> Iterator[Pixels]:
    for number in range(VIEWS):
        view = phantom_view(920_000 + number, clusters=0)
        yield _resampled(view.stored.astype(np.float32) / np.float32(2**view.bits - 1), view.spacing_mm)


def _drawn(plan: MaterialPlan, folder: Path) -> Iterator[Pixels]:
    for case in write_material(folder, plan, [], processes=1, progress=silent):
        mammogram = case.read()
        assert mammogram.spacing, "material states its spacing"
        yield _resampled(mammogram.pixels, mammogram.spacing.mean_mm)


def _row(name: str, images: Iterable[Pixels]) -> tuple[str, ...]:
    found = np.array([texture(image) for image in images])
    low, middle, high = np.nanpercentile(found, (25, 50, 75), axis=0)
    cells = [f"{m:.2f} ({a:.2f}-{b:.2f})" for a, m, b in zip(low, middle, high, strict=True)]
    return name, str(len(found)), *cells


def texture(image: Pixels) -> Texture:
    """Measure an image of `SPACING_MM`."""
    cells = find_breast(image).cells.astype(np.uint8)
    breast = np.kron(cells, np.ones((CELL, CELL), np.uint8))[: image.shape[0], : image.shape[1]]
    size = 2 * round(EDGE_MM / SPACING_MM) + 1
    inside = cv2.erode(breast, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0
    band = np.abs(_band(image, BAND_MM)[inside])
    deviation = 1.4826 * float(np.median(band))
    low, high = np.percentile(image[inside], (5, 95))
    return Texture(
        tail=float(np.percentile(band, 99)) / (2.576 * max(deviation, 1e-9)),
        noise=deviation / max(float(high - low), 1e-9),
        slope=_slope(image, inside),
        coherence=_coherence(image, inside),
    )


def _band(image: Pixels, sizes_mm: tuple[float, float]) -> Pixels:
    fine, coarse = (size / SPACING_MM for size in sizes_mm)
    return difference_of_gaussians(image, fine=fine, coarse=coarse)


def _slope(image: Pixels, inside: Interior) -> float:
    """Fit the exponent over the patches that lie inside."""
    window = np.hanning(PATCH)[:, None] * np.hanning(PATCH)[None]
    spectra = []
    for y in range(0, image.shape[0] - PATCH, PATCH // 2):
        for x in range(0, image.shape[1] - PATCH, PATCH // 2):
            if inside[y : y + PATCH, x : x + PATCH].all():
                patch = image[y : y + PATCH, x : x + PATCH]
                spectra.append(np.abs(np.fft.fft2((patch - patch.mean()) * window)) ** 2)
    if not spectra:
        return float("nan")
    axis = np.fft.fftfreq(PATCH, SPACING_MM)
    frequency = np.hypot(axis[:, None], axis[None])
    used = (frequency > 0.15) & (frequency < 1.0)
    slope, _ = np.polyfit(np.log(frequency[used]), np.log(np.mean(spectra, axis=0)[used]), 1)
    return -float(slope)


def _coherence(image: Pixels, inside: Interior) -> float:
    lines = _band(image, LINES_MM)
    across, down = cv2.Sobel(lines, cv2.CV_32F, 1, 0), cv2.Sobel(lines, cv2.CV_32F, 0, 1)
    width = LINES_MM[1] / SPACING_MM
    xx, yy, xy = (cv2.GaussianBlur(a, (0, 0), width) for a in (across**2, down**2, across * down))
    coherence = np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-12)
    return float(np.median(coherence[inside]))


def _resampled(pixels: Pixels, spacing_mm: float) -> Pixels:
    scale = spacing_mm / SPACING_MM
    height, width = (round(side * scale) for side in pixels.shape)
    resampled: Pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return resampled
