"""Normalisation of a mammogram for the detector, identical in training and detection.

Vendors differ in offset, gain and noise. These are removed per image, measured on breast pixels only: air, which is 30
to 60 % of a mammogram, and the lead markers in it must not affect the scale. A calcification is a few pixels wide and
exceeds its surroundings by a few standard deviations, on tissue whose brightness varies far more. The network therefore
receives three input planes:

    plane 0   grey, with the breast's percentiles on a fixed scale
    plane 1   fine contrast: grey minus its surroundings of about 1 mm, in standard deviations
    plane 2   smooth contrast: the same after a blur that matches small calcifications

The standard deviation is estimated from the 99th percentile of the absolute contrast, not from its median: contrast on
real tissue is heavy-tailed, and on a film scan that was made finer its median is far too small. Either way the lines of
tissue would fill the planes of a network that was trained on noise with dots. An image that was made finer than it was
taken also lacks fine noise, and gets it. Both were chosen by experiment (docs/experiments.md, 2026-12-01).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Size
from mammo.pixels import Pixels, size_of

Planes = npt.NDArray[np.float32]
"""3 x H x W, float32 in [0, 1]: the input planes of the network, at the full bit depth of the pixels."""

Normalisation = Literal["grey-and-contrast", "grey-and-p99-contrast"]
"""How the planes are computed; recorded with the weights, which are served as they were trained.

`grey-and-contrast` scales contrast by its median absolute deviation and adds no noise. Weights trained before December
2026 have it.
"""

CELL = 16
"""Side of a cell of the breast map, in pixels."""

_AIR = 0.05
"""Threshold between air and breast, as a fraction of the grey range."""

_ROUNDING = 1e-4
"""Minimum grey difference and spread: a uniform image has no air, and no contrast to amplify."""

_PERCENTILES = (1.0, 99.0)
_LEVELS = (0.05, 0.75)
"""Grey levels of these percentiles of the breast; calcifications brighter than tissue use the range above."""

_WIDE, _SMOOTH = 6.0, 1.2
"""Standard deviations of the blurs for the surroundings and for plane 2, in pixels."""

CONTRAST_GAIN, CONTRAST_ZERO = 20.0 / 255, 70.0 / 255
"""Value of one standard deviation, and value of zero contrast: [0, 1] covers -3.5 to +9.25 standard deviations."""

_AIR_GREY = 0.02
"""Grey of the surroundings below which a pixel is air. The 1st percentile of the breast has 0.05."""

_TAIL, _TAIL_DEVIATIONS = 99.0, 2.576
"""Percentile of the absolute contrast, and its value for normal noise in standard deviations."""

_GRAIN = 0.42
"""Correlation of the noise added to images that were made finer: weight of each neighbour, as in our phantoms."""

_MARGIN = 64
"""Margin around the breast that is processed with it, in pixels: wider than the widest blur and the erosion."""

_STEP = 4
"""Subsampling of the pixels that are measured, along each axis."""


@dataclass(frozen=True, eq=False)
class Breast:
    """Location of the breast, on a coarse grid of `CELL` pixels."""

    cells: npt.NDArray[np.bool_]
    """ceil(H / CELL) x ceil(W / CELL), True on the breast; at least one cell is."""

    box: Box
    """Bounding box of the breast in pixels, clipped to the image."""

    foreign: npt.NDArray[np.bool_] | None = None
    """True on objects apart from the breast: lead markers, labels, text. None when there are none."""

    def coverage(self, box: Box) -> float:
        """Fraction of a box inside the image that is breast, in [0, 1]."""
        part = self.cells[box.y0 // CELL : -(-box.y1 // CELL), box.x0 // CELL : -(-box.x1 // CELL)]
        return float(part.mean())

    def holds(self, x: float, y: float) -> bool:
        """Whether a position in the image, in pixels, lies on the breast."""
        rows, columns = self.cells.shape
        return bool(self.cells[min(int(y) // CELL, rows - 1), min(int(x) // CELL, columns - 1)])

    def frame(self, size: Size) -> Box:
        """The part of the image to process: the box of the breast, and the margin that its planes depend on."""
        x0, y0, x1, y1 = self.box.dilated(_MARGIN).as_tuple()
        low = (x0 // CELL * CELL, y0 // CELL * CELL)
        return Box(*low, -(-x1 // CELL) * CELL, -(-y1 // CELL) * CELL).within(size)

    def cropped(self, frame: Box) -> Breast:
        """The breast in an image cropped to `frame`, whose top-left corner lies on the grid of cells."""
        cut = slice(frame.y0 // CELL, -(-frame.y1 // CELL)), slice(frame.x0 // CELL, -(-frame.x1 // CELL))
        foreign = None if self.foreign is None else self.foreign[cut]
        return Breast(self.cells[cut], self.box.shifted(-frame.x0, -frame.y0), foreign)


def find_breast(pixels: Pixels) -> Breast:
    """Find the largest connected area that is not air; a uniform image counts as breast entirely.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
    """
    size = size_of(pixels)
    rows, columns = -(-size.height // CELL), -(-size.width // CELL)
    coarse: Pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = float(coarse.min()), float(np.percentile(coarse, 99.5))
    inside = (coarse > low + max(_AIR * (high - low), _ROUNDING)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    if count < 2:
        return Breast(np.ones((rows, columns), np.bool_), size.box)
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    cells = cv2.dilate(largest.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # the skin line is dim
    ys, xs = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    box = Box(int(xs[0]) * CELL, int(ys[0]) * CELL, int(xs[-1] + 1) * CELL, int(ys[-1] + 1) * CELL)
    foreign = (
        cv2.dilate((inside > 0).astype(np.uint8) - largest.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    )
    foreign &= ~cells
    return Breast(cells, box.within(size), foreign if foreign.any() else None)


def normalise(pixels: Pixels, breast: Breast, *, kind: Normalisation, finer: float) -> Planes:
    """Compute the input planes of the network.

    Foreign objects become air: channel attention takes the maximum over the whole input, so a lead marker would change
    the features of distant tissue.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        breast: its location in `pixels`.
        kind: that of the network.
        finer: pixels along an axis per pixel that was taken; above 1, noise is added, the same for the same pixels.

    Returns:
        3 x H x W, float32 in [0, 1].
    """
    robust = kind == "grey-and-contrast"
    planes = np.empty((3, *pixels.shape), np.float32)
    grey, fine, smooth = planes
    _grey(_without_foreign(pixels, breast.foreign), breast, out=grey)
    surroundings = _surroundings(grey)
    np.subtract(grey, surroundings, out=fine)
    if finer > 1 and not robust:
        _add_grain(grey, fine, deviation=_median_spread(fine, breast), where=surroundings)
    np.subtract(cv2.GaussianBlur(grey, (0, 0), _SMOOTH), surroundings, out=smooth)
    for contrast in (fine, smooth):
        spread = (_median_spread if robust else _tail_spread)(contrast, breast)
        gain = CONTRAST_GAIN / max(spread, _ROUNDING)
        _scale(contrast, gain, CONTRAST_ZERO, out=contrast)
    return planes


def _without_foreign(pixels: Pixels, foreign: npt.NDArray[np.bool_] | None) -> Pixels:
    """Set the cells of foreign objects to the darkest grey of the image."""
    if foreign is None or not foreign.any():
        return pixels
    cleared = pixels.copy()
    dark = np.repeat(np.repeat(foreign, CELL, axis=0), CELL, axis=1)
    cleared[dark[: pixels.shape[0], : pixels.shape[1]]] = pixels.min()
    return cleared


def _grey(pixels: Pixels, breast: Breast, *, out: Pixels) -> None:
    """Plane 0: map the 1st and 99th percentile of the breast to 0.05 and 0.75."""
    low, high = np.percentile(_sample(pixels, breast), _PERCENTILES)
    gain = (_LEVELS[1] - _LEVELS[0]) / max(float(high - low), _ROUNDING)
    _scale(pixels, gain, _LEVELS[0] - float(low) * gain, out=out)


def _scale(image: Pixels, gain: float, zero: float, *, out: Pixels) -> None:
    """out = clip(gain * image + zero, 0, 1)."""
    np.multiply(image, np.float32(gain), out=out)
    out += np.float32(zero)
    np.clip(out, 0.0, 1.0, out=out)


def _surroundings(grey: Pixels) -> Pixels:
    """Wide blur, computed on an image four times smaller; sides are padded to multiples of 4 by replication."""
    height, width = grey.shape
    below, beside = -height % 4, -width % 4
    if below or beside:
        grey = cv2.copyMakeBorder(grey, 0, below, 0, beside, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    full = (width + beside, height + below)
    small = cv2.resize(grey, (full[0] // 4, full[1] // 4), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), _WIDE / 4), full, interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide[:height, :width], np.float32)


def _sample(image: Pixels, breast: Breast) -> Pixels:
    """One breast pixel in sixteen, enough for percentiles; without the rim, which contains air."""
    height, width = image.shape
    core = cv2.erode(breast.cells.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2) > 0
    cells = core if core.any() else breast.cells
    inside = np.repeat(np.repeat(cells, CELL // _STEP, axis=0), CELL // _STEP, axis=1)
    return image[::_STEP, ::_STEP][inside[: -(-height // _STEP), : -(-width // _STEP)]]


def _add_grain(grey: Pixels, fine: Pixels, *, deviation: float, where: Pixels) -> None:
    """Add slightly correlated noise to the grey and the fine contrast of tissue, in place.

    The generator is seeded by the content, so the same image always gets the same noise.

    Args:
        deviation: standard deviation of the noise.
        where: the surroundings; air, which is 0 there, gets none.
    """
    rng = np.random.default_rng(zlib.crc32(grey.tobytes()))
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    kernel = np.array([_GRAIN, 1, _GRAIN], np.float32)
    kernel /= np.sqrt((kernel**2).sum())  # keeps unit variance
    noise = np.asarray(cv2.sepFilter2D(noise, cv2.CV_32F, kernel, kernel), np.float32)
    noise *= np.float32(deviation)
    noise[where < _AIR_GREY] = 0
    before = grey.copy()
    np.clip(grey + noise, 0, 1, out=grey)
    fine += grey - before


def _median_spread(contrast: Pixels, breast: Breast) -> float:
    """Robust standard deviation: 1.4826 times the median absolute deviation."""
    sample = _sample(contrast, breast)
    return 1.4826 * float(np.median(np.abs(sample - np.median(sample))))


def _tail_spread(contrast: Pixels, breast: Breast) -> float:
    """Robust upper standard deviation, from the 99th percentile of the absolute deviation from the median.

    Calcifications cover far less than one per cent of a breast.
    """
    sample = _sample(contrast, breast)
    return float(np.percentile(np.abs(sample - np.median(sample)), _TAIL)) / _TAIL_DEVIATIONS
