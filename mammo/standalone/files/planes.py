"""Reads an image, and computes what the networks of this folder see of it.

The filters and their constants are those of training; others would make other findings.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pydicom

Array = npt.NDArray[Any]

CELL, STEP = 16, 4
"""Side of a cell of the breast's grid, and distance of the pixels that are measured, in pixels."""

MARGIN = 64
"""Width of the surroundings of the breast on which its planes depend, in pixels."""

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm")
RING = np.ones((3, 3), np.uint8)


def read(path: Path, *, bits: int | None = None) -> tuple[Array, tuple[float, float] | None]:
    """Return H x W float32 in [0, 1], dense tissue bright, and the spacing of rows and columns in mm if it is stated.

    Only plain mammograms are read; the program ends with a reason for any other file.

    Args:
        path: of the file.
        bits: of a grey image with fewer bits than its format has.
    """
    if path.suffix.lower() in PICTURES:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 2:
            sys.exit(f"{path.name}: expected a grey image")
        return image.astype(np.float32) / np.float32(2 ** (bits or 8 * image.dtype.itemsize) - 1), None
    try:
        dataset = pydicom.dcmread(path)
        values = dataset.pixel_array
    except Exception as error:
        sys.exit(f"{path.name} cannot be read as DICOM: {error}")
    kind, rescaled = str(dataset.get("PhotometricInterpretation")), float(dataset.get("RescaleSlope", 1) or 1)
    plain = values.ndim == 2 and kind in ("MONOCHROME1", "MONOCHROME2") and rescaled > 0
    if (
        not plain
        or dataset.get("PixelRepresentation")
        or dataset.get("PresentationIntentType") == "FOR PROCESSING"
    ):
        sys.exit(f"{path.name}: expected one frame of unsigned grey values, For Presentation")
    top = np.float32(2 ** int(dataset.BitsStored) - 1)
    pixels = values.astype(np.float32)
    pixels = (top - pixels if kind == "MONOCHROME1" else pixels) / top
    if dataset.get("PixelPaddingValue") is not None:
        pixels[values == dataset.PixelPaddingValue] = 0
    magnified = float(dataset.get("EstimatedRadiographicMagnificationFactor") or 1)
    for keyword in ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"):
        if dataset.get(keyword):
            by = magnified if keyword == "ImagerPixelSpacing" and 1 <= magnified <= 3 else 1.0
            row, column = (float(value) / by for value in np.broadcast_to(dataset[keyword].value, 2))
            return pixels, (row, column)
    return pixels, None


def resample(
    pixels: Array, spacing: tuple[float, float] | None, *, trained_mm: float
) -> tuple[Array, npt.NDArray[np.float64]]:
    """Return the image at the spacing of training, and its pixels per pixel of the original along x and y."""
    if spacing is None:
        return pixels, np.ones(2)
    factors = np.array([spacing[1], spacing[0]]) / trained_mm
    if ((factors < 1.45) & (factors > 1 / 1.45)).all():
        return pixels, np.ones(2)
    size = np.array(pixels.shape[::-1])
    new = np.maximum(1, (np.clip(factors, 1 / 8, 4) * size).astype(int))
    scale = new / size
    how = cv2.INTER_AREA if scale.max() < 1 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(pixels, (int(new[0]), int(new[1])), interpolation=how), 0, 1), scale


@dataclass(frozen=True, eq=False)
class Breast:
    """The largest area that is not air, on a grid of `CELL` pixels, and other objects such as lead letters."""

    cells: Array
    foreign: Array

    @classmethod
    def find(cls, pixels: Array) -> Breast:
        """Find the breast of an image; a uniform one is breast entirely."""
        size = (-(-pixels.shape[1] // CELL), -(-pixels.shape[0] // CELL))
        coarse: Array = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        low, high = float(coarse.min()), float(np.percentile(coarse, 99.5))
        inside = (coarse > low + max(0.05 * (high - low), 1e-4)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
        if count < 2:
            return cls(np.ones_like(inside, bool), np.zeros_like(inside, bool))
        largest = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
        cells = cv2.dilate(largest, RING) > 0
        return cls(cells, (cv2.dilate(inside - largest, RING) > 0) & ~cells)

    def holds(self, x: float, y: float) -> bool:
        """Whether a position, in pixels, lies on the breast."""
        rows, columns = self.cells.shape
        return bool(self.cells[min(int(y) // CELL, rows - 1), min(int(x) // CELL, columns - 1)])


def detector_planes(
    pixels: Array, breast: Breast, *, kind: str, finer: float
) -> tuple[npt.NDArray[np.float32], int, int]:
    """Return 3 x H' x W' planes of the breast in [0, 1], sides multiples of 32, and the x and y of their corner."""
    height, width = pixels.shape
    rows, columns = np.flatnonzero(breast.cells.any(1)), np.flatnonzero(breast.cells.any(0))
    (y0, y1), (x0, x1) = ((int(each[0]) * CELL, (int(each[-1]) + 1) * CELL) for each in (rows, columns))
    top, left = max(0, y0 - MARGIN), max(0, x0 - MARGIN)
    bottom, right = min(height, y1 + MARGIN), min(width, x1 + MARGIN)
    cut = np.s_[top // CELL : -(-bottom // CELL), left // CELL : -(-right // CELL)]
    planes = _normalised(
        pixels[top:bottom, left:right], breast.cells[cut], breast.foreign[cut], kind=kind, finer=finer
    )
    tall, wide = (
        -(-(min(stop, limit) - start) // 32) * 32
        for start, stop, limit in ((y0, y1, height), (x0, x1, width))
    )
    y, x = min(y0 - top, max(planes.shape[1] - tall, 0)), min(x0 - left, max(planes.shape[2] - wide, 0))
    tile = np.zeros((3, tall, wide), np.float32)
    part = planes[:, y : y + tall, x : x + wide]
    tile[:, : part.shape[1], : part.shape[2]] = part
    return tile, x + left, y + top


def _normalised(pixels: Array, cells: Array, foreign: Array, *, kind: str, finer: float) -> Array:
    """Return grey, fine contrast and smooth contrast, measured on the tissue of the breast."""
    height, width = pixels.shape
    if foreign.any():
        pixels = np.where(_grown(foreign, CELL)[:height, :width], pixels.min(), pixels)
    core = cv2.erode(cells.astype(np.uint8), RING, iterations=2) > 0
    tissue = _grown(core if core.any() else cells, CELL // STEP)[: -(-height // STEP), : -(-width // STEP)]
    low, high = np.percentile(pixels[::STEP, ::STEP][tissue], (1, 99))
    gain = 0.7 / max(float(high - low), 1e-4)
    grey = np.clip(pixels * np.float32(gain) + np.float32(0.05 - float(low) * gain), 0, 1)
    padded = cv2.copyMakeBorder(grey, 0, -height % 4, 0, -width % 4, cv2.BORDER_REPLICATE)
    small = cv2.resize(padded, (padded.shape[1] // 4, padded.shape[0] // 4), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.5), padded.shape[::-1])
    around: Array = np.asarray(wide)[:height, :width]
    fine: Array = grey - around
    robust = kind == "grey-and-contrast"
    if finer > 1 and not robust:
        rng = np.random.default_rng(zlib.crc32(grey.tobytes()))
        noise: Array = np.asarray(rng.standard_normal(grey.shape, dtype=np.float32))
        kernel = np.array([0.42, 1, 0.42], np.float32)
        kernel /= np.sqrt((kernel**2).sum())
        noise = np.asarray(cv2.sepFilter2D(noise, cv2.CV_32F, kernel, kernel)) * np.float32(
            _spread(fine, tissue)
        )
        noise[around < 0.02] = 0
        before, grey = grey, np.clip(grey + noise, 0, 1)
        fine = fine + (grey - before)
    planes = [grey]
    for contrast in (fine, cv2.GaussianBlur(grey, (0, 0), 1.2) - around):
        gain = 20 / 255 / max(_spread(contrast, tissue, tail=not robust), 1e-4)
        planes.append(np.clip(contrast * np.float32(gain) + np.float32(70 / 255), 0, 1))
    return np.stack(planes).astype(np.float32)


def _grown(grid: Array, side: int) -> Array:
    return np.repeat(np.repeat(grid, side, axis=0), side, axis=1)


def _spread(plane: Array, tissue: Array, *, tail: bool = False) -> float:
    """Return a robust standard deviation: from the median absolute deviation, or from its 99th percentile."""
    sample = plane[::STEP, ::STEP][tissue]
    deviation = np.abs(sample - np.median(sample))
    return float(np.percentile(deviation, 99)) / 2.576 if tail else 1.4826 * float(np.median(deviation))


def specks(
    pixels: Array, box: tuple[int, int, int, int], mm: float, *, rule: str, count: int
) -> list[tuple[int, int]]:
    """Return (x, y) of the specks in a box, strongest first: the prompts of the segmenter."""
    x0, y0, x1, y1 = box
    values = pixels[y0:y1, x0:x1].copy()
    least = -np.inf
    if rule == "robust":
        values = _speck_contrast(pixels, box, mm)
        least = 0.3 * float(values.max()) if values.max() > 0 else np.inf
    return [(x + x0, y + y0) for y, x in _peaks(values, mm, count=count, least=least)]


def _peaks(values: Array, mm: float, *, count: int, least: float) -> list[tuple[int, int]]:
    """Return row and column of the highest values, highest first, no two closer than 0.5 mm; changes `values`."""
    gap = max(1, round(0.5 / mm))
    rows, columns = np.ogrid[: values.shape[0], : values.shape[1]]
    places: list[tuple[int, int]] = []
    for _ in range(count):
        y, x = (int(each) for each in np.unravel_index(np.argmax(values), values.shape))
        if values[y, x] == -np.inf or values[y, x] < least:
            break
        places.append((y, x))
        values[(rows - y) ** 2 + (columns - x) ** 2 < gap**2] = -np.inf
    return places


def mean_log_strength(pixels: Array, box: tuple[int, int, int, int], mm: float) -> float:
    """Return the mean over the eight strongest specks of a box of log((1 + z) / 21), at most 0.

    z is the contrast of a speck in standard deviations of the noise, from 2.5 to 20; 0 if there is none.
    """
    margin, (height, width) = round(2 / mm), pixels.shape
    x0, y0 = max(0, box[0] - margin), max(0, box[1] - margin)
    contrast = _speck_contrast(
        pixels, (x0, y0, min(width, box[2] + margin), min(height, box[3] + margin)), mm
    )
    measured, strengths = contrast[contrast > 0], np.zeros(8)
    if measured.size:
        middle = float(np.median(measured))
        noise = 1.4826 * float(np.median(np.abs(measured - middle)))
        inside = contrast[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0].copy()
        places = _peaks(inside, mm, count=8, least=middle + 2.5 * noise) if noise > 0 else []
        for index, (y, x) in enumerate(places):
            strengths[index] = (contrast[y + box[1] - y0, x + box[0] - x0] - middle) / noise
    return float(np.log((1 + np.minimum(strengths, 20)) / 21).mean())


def _speck_contrast(pixels: Array, box: tuple[int, int, int, int], mm: float) -> Array:
    """Return the white top-hat of a box, 0 at the skin line and at bright plateaus."""
    x0, y0, x1, y1 = box
    diameter = _odd(1.05 / mm)
    top, left = max(0, y0 - 2 * diameter), max(0, x0 - 2 * diameter)
    context = pixels[top : y1 + 2 * diameter, left : x1 + 2 * diameter]
    neighbours = RING.copy()
    neighbours[1, 1] = 0
    smooth = cv2.GaussianBlur(np.minimum(context, cv2.dilate(context, neighbours)), (0, 0), 0.8)
    contrast = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, _disc(diameter))
    air = context <= 0.01
    around = _large(air, diameter)
    if around.any():
        contrast[cv2.dilate(around.astype(np.uint8), _disc(2 * round(1.5 / mm) + 1)) > 0] = 0
    if not air.all():
        median, maximum = float(np.median(context[~air])), float(context.max())
        if maximum > median:
            plateaus = _large(context >= median + 0.98 * (maximum - median), diameter)
            contrast[cv2.dilate(plateaus.astype(np.uint8), _disc(5)) > 0] = 0
    return contrast[y0 - top : y1 - top, x0 - left : x1 - left].copy()


def _disc(diameter: int) -> Array:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def _odd(diameter: float) -> int:
    return min(max(2 * round((diameter - 1) / 2) + 1, 3), 129)


def _large(bitmap: Array, extent: int) -> Array:
    """Return the connected parts of a bitmap that are wider or taller than `extent` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bitmap.astype(np.uint8), connectivity=8)
    is_large = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) > extent
    is_large[0] = False
    return np.asarray(is_large[labels])


def region_planes(
    crop: Array, mm: float, *, size: int, scale: float, channels: str
) -> npt.NDArray[np.float32]:
    """Return the 1 x 3 x size x size input of the segmenter for a region; zero beyond the image."""
    crop = np.ascontiguousarray(crop)
    if scale < 1:
        new = [max(1, round(side * scale)) for side in crop.shape[::-1]]
        crop = np.asarray(cv2.resize(crop, new, interpolation=cv2.INTER_AREA))
    tissue = crop > 0
    low, high = np.percentile(crop[tissue], (0.5, 99.9)) if tissue.any() else (0.0, 1.0)
    grey = (crop - np.float32(low)) / np.float32(max(high - low, 1e-6))
    if channels == "grey":
        mean, deviation = np.array([[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]]) / 255
        planes = [(np.clip(grey, 0, 1) - a) / b for a, b in zip(mean, deviation, strict=True)]
    else:
        fine = mm / min(scale, 1.0)
        sigma = min(0.84 / fine, 129 / 6)
        share = cv2.GaussianBlur(tissue.astype(np.float32), (0, 0), sigma)
        local = crop - cv2.GaussianBlur(crop, (0, 0), sigma) / np.maximum(share, 1e-3)
        smooth = cv2.GaussianBlur(crop, (0, 0), 0.8)
        bright = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, _disc(_odd(1.05 / fine)))
        planes = [(np.clip(grey, 0, 1.5) - 0.5) / 0.25]
        planes += [_standardised(values, tissue, limit) for values, limit in ((local, 6.0), (bright, 12.0))]
    out = np.zeros((1, 3, size, size), np.float32)
    for target, plane in zip(out[0], planes, strict=True):
        target[: plane.shape[0], : plane.shape[1]] = plane[:size, :size]
    return out


def _standardised(values: Array, tissue: Array, limit: float) -> Array:
    if not tissue.any():
        return np.zeros(values.shape)
    median = np.median(values[tissue])
    spread = 1.4826 * np.median(np.abs(values[tissue] - median)) + 1e-6
    return np.where(tissue, np.clip((values - median) / spread, -limit, limit) * (3 / limit), 0)
