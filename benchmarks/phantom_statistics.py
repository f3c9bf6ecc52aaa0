"""Texture and greys of phantoms beside those of real mammograms: the background sets that this site has added.

Both are measured inside the breast, away from its edge. Texture, of every image at 0.2 mm, the spacing of film scans:

    tail         99th percentile of |b| / (2.576 x 1.4826 median |b|), b = band of calcification size; 1 if Gaussian
    noise        robust deviation of b / range of grey levels (5th to 95th percentile)
    slope        exponent of the power spectrum 1 / f**slope between 0.15 and 1.0 per mm (Burgess et al. 2001: near 3)
    coherence    median coherence of the structure tensor of lines of 0.6 to 1.5 mm, in [0, 1] (Bigun and Granlund 1987)

Greys: at the pixels of the image, with the full scale as 4095:

    grey        10th, 50th, 90th and 99th percentile of the breast
    band        standard deviation behind a band pass of 1.2 and 4 pixels
    finest      standard deviation of what a blur of 1.2 pixels removes
    kurtosis    excess kurtosis of the grey minus its surroundings (a blur of 6 pixels), the detector's contrast: 0 if
                Gaussian
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
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

BAND_PX = (1.2, 4.0)
CONTRAST_PX = 6.0
FULL_SCALE = 4095

PATCH = 128
"""Side of the patches of the power spectrum, in pixels: 25.6 mm."""

Interior = npt.NDArray[np.bool_]


class Image(NamedTuple):
    """One image as it was taken."""

    pixels: Pixels
    spacing_mm: float


class Texture(NamedTuple):
    """The statistics of one image at `SPACING_MM`."""

    tail: float
    noise: float
    slope: float
    coherence: float


class Greys(NamedTuple):
    """The statistics of one image at its own pixels."""

    p10: float
    p50: float
    p90: float
    p99: float
    band: float
    finest: float
    kurtosis: float


def run() -> list[Result]:
    groups: dict[str, Iterable[Image]] = {
        f"real: {each.name}": _real(each.name) for each in Site.load().backgrounds.sets() if each.backgrounds
    }
    groups["phantoms of vendor_a"] = _vendor_a()
    textures, greys = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, plan in (
            ("randomised phantoms", MaterialPlan(**_counts(phantoms=VIEWS), lesions=False, seed=900_000)),
            (
                "randomised, film look",
                MaterialPlan(**_counts(film_phantoms=VIEWS), lesions=False, seed=910_000),
            ),
        ):
            groups[name] = _drawn(plan, Path(folder) / name)
        for name, images in groups.items():
            measured = [(texture(_resampled(*image)), greys_of(*image)) for image in images]
            textures.append((name, str(len(measured)), *_cells([each for each, _ in measured], ".2f")))
            p10, p50, p90, p99, *others = _cells([each for _, each in measured], ".0f")
            greys.append(
                (name, p10, p50, p90, p99, *others[:-1], _cells([e[-1:] for _, e in measured], ".1f")[0])
            )
    real = "Real images are those of the background sets added here, without clusters;"
    return [
        Result(
            title="Phantoms, texture beside real mammograms",
            method=f"Median (quartiles) over images at {SPACING_MM} mm, inside the breast; "
            f"`benchmarks/phantom_statistics.py` defines the columns. {real}",
            columns=("images", "number", *Texture._fields),
            rows=textures,
        ),
        Result(
            title="Phantoms, greys beside real mammograms",
            method=f"Median (quartiles) over the same images at their own pixels, full scale {FULL_SCALE}. {real}",
            columns=("images", *Greys._fields),
            rows=greys,
        ),
    ]


def _counts(**given: int) -> dict[str, int]:
    return {"phantoms": 0, "film_phantoms": 0, "digital_copies": 0, "film_copies": 0} | given


def _real(name: str) -> Iterator[Image]:
    for each in Site.load().backgrounds.get(name).backgrounds:
        mammogram = each.read()
        assert mammogram.spacing, "a background states its spacing"
        yield Image(mammogram.pixels, mammogram.spacing.mean_mm)


def _vendor_a() -> Iterator[Image]:
    for number in range(VIEWS):
        view = phantom_view(920_000 + number, clusters=0)
        yield Image(view.stored.astype(np.float32) / np.float32(2**view.bits - 1), view.spacing_mm)


def _drawn(plan: MaterialPlan, folder: Path) -> Iterator[Image]:
    for case in write_material(folder, plan, [], processes=1, progress=silent):
        mammogram = case.read()
        assert mammogram.spacing, "material states its spacing"
        yield Image(mammogram.pixels, mammogram.spacing.mean_mm)


def _cells(found: Sequence[Sequence[float]], form: str) -> list[str]:
    """Median and quartiles of each column."""
    low, middle, high = np.nanpercentile(np.array(found), (25, 50, 75), axis=0)
    return [f"{m:{form}} ({a:{form}}-{b:{form}})" for a, m, b in zip(low, middle, high, strict=True)]


def greys_of(image: Pixels, spacing_mm: float) -> Greys:
    """Measure an image of any spacing."""
    inside = _inside(image, edge_px=EDGE_MM / spacing_mm)
    scaled = image * np.float32(FULL_SCALE)
    fine, coarse = BAND_PX
    finest = scaled - cv2.GaussianBlur(scaled, (0, 0), fine)
    contrast = (scaled - cv2.GaussianBlur(scaled, (0, 0), CONTRAST_PX))[inside].astype(np.float64)
    contrast -= contrast.mean()
    p10, p50, p90, p99 = np.percentile(scaled[inside], (10, 50, 90, 99))
    return Greys(
        p10,
        p50,
        p90,
        p99,
        band=float(difference_of_gaussians(scaled, fine=fine, coarse=coarse)[inside].std()),
        finest=float(finest[inside].std()),
        kurtosis=float((contrast**4).mean() / (contrast**2).mean() ** 2 - 3),
    )


def texture(image: Pixels) -> Texture:
    """Measure an image of `SPACING_MM`."""
    inside = _inside(image, edge_px=EDGE_MM / SPACING_MM)
    band = np.abs(_band(image, BAND_MM)[inside])
    deviation = 1.4826 * float(np.median(band))
    low, high = np.percentile(image[inside], (5, 95))
    return Texture(
        tail=float(np.percentile(band, 99)) / (2.576 * max(deviation, 1e-9)),
        noise=deviation / max(float(high - low), 1e-9),
        slope=_slope(image, inside),
        coherence=_coherence(image, inside),
    )


def _inside(image: Pixels, *, edge_px: float) -> Interior:
    """H x W: the breast without its edge."""
    cells = find_breast(image).cells.astype(np.uint8)
    breast = np.kron(cells, np.ones((CELL, CELL), np.uint8))[: image.shape[0], : image.shape[1]]
    return np.asarray(cv2.distanceTransform(breast, cv2.DIST_L2, 5) > edge_px, np.bool_)


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
