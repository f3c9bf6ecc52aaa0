"""What a mammogram goes through before the detector sees it, in training and at work alike.

Vendors differ in offset, gain and noise. All are taken out per image, measured on breast pixels only: air, which is
30 to 60 % of a mammogram, and the lead markers in it must not move the scale. The three input planes of the network
hold what a plain grey image would hide from it: a calcification is a few pixels that stand out by a few standard
deviations of their surroundings, on tissue whose own brightness varies far more.

    plane 0   grey: the breast's percentiles on a fixed scale
    plane 1   fine contrast: grey minus its surroundings of about 1 mm, in standard deviations
    plane 2   smooth contrast: the same after a blur that matches small calcifications
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Size
from mammo.pixels import Pixels

Planes = npt.NDArray[np.float32]
"""3 x H x W, float32 in [0, 1]: what the network looks at, see above. Never rounded: 16 bits in are 16 bits seen."""

CELL = 16
"""Side of one cell of the breast map, in pixels."""

_AIR = 0.05
"""Share of the grey range below which a cell is air."""

_ROUNDING = 1e-4
"""Grey differences below this are none: an image of one grey has no air."""

_PERCENTILES = (1.0, 99.0)
_LEVELS = (0.05, 0.75)
"""Where the percentiles of the breast go; the rest above is room for calcifications brighter than tissue."""

_WIDE, _SMOOTH = 6.0, 1.2
"""Standard deviations of the two blurs, in pixels."""

CONTRAST_GAIN, CONTRAST_ZERO = 20.0 / 255, 70.0 / 255
"""What one standard deviation adds, and where no contrast lies: [0, 1] is -3.5 to +9.25 standard deviations."""

_MARGIN = 64
"""Pixels around the breast that are worked on with it: more than the widest blur and the erosion reach."""

_STEP = 4
"""Every fourth pixel of every fourth row is measured."""


@dataclass(frozen=True, eq=False)
class Breast:
    """Where the breast is, on a coarse grid of `CELL` pixels."""

    cells: npt.NDArray[np.bool_]
    """ceil(H / CELL) x ceil(W / CELL); never empty."""

    box: Box
    """Smallest box of pixels that holds it, clipped to the image."""

    foreign: npt.NDArray[np.bool_] | None = None
    """Cells of what lies apart from it and is no air: lead markers, labels, writing. None: nothing."""

    def share(self, box: Box) -> float:
        """Part of a box (inside the image) that is breast, in [0, 1]."""
        part = self.cells[box.y0 // CELL : -(-box.y1 // CELL), box.x0 // CELL : -(-box.x1 // CELL)]
        return float(part.mean())

    def frame(self, size: Size) -> Box:
        """The part of the image worth working on: the breast's box and what the planes there depend on."""
        x0, y0, x1, y1 = self.box.dilated(_MARGIN).as_tuple()
        low = (x0 // CELL * CELL, y0 // CELL * CELL)
        return Box(*low, -(-x1 // CELL) * CELL, -(-y1 // CELL) * CELL).within(size)

    def inside(self, frame: Box) -> Breast:
        """The same breast in the image cut to a frame, whose corner lies on the grid of the cells."""
        cut = slice(frame.y0 // CELL, -(-frame.y1 // CELL)), slice(frame.x0 // CELL, -(-frame.x1 // CELL))
        foreign = None if self.foreign is None else self.foreign[cut]
        return Breast(self.cells[cut], self.box.shifted(-frame.x0, -frame.y0), foreign)


def find_breast(pixels: Pixels) -> Breast:
    """Find the largest connected area that is not air; the whole image where nothing stands out.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
    """
    height, width = pixels.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    coarse: Pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = float(coarse.min()), float(np.percentile(coarse, 99.5))
    inside = (coarse > low + max(_AIR * (high - low), _ROUNDING)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    if count < 2:
        return Breast(np.ones((rows, columns), np.bool_), Size(width, height).box)
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    cells = cv2.dilate(largest.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # the skin line is dim
    ys, xs = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    box = Box(int(xs[0]) * CELL, int(ys[0]) * CELL, int(xs[-1] + 1) * CELL, int(ys[-1] + 1) * CELL)
    foreign = (
        cv2.dilate((inside > 0).astype(np.uint8) - largest.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    )
    foreign &= ~cells
    return Breast(cells, box.within(Size(width, height)), foreign if foreign.any() else None)


def normalise(pixels: Pixels, breast: Breast) -> Planes:
    """Make the network's input planes, for training and at work alike, at the full depth of the pixels.

    What is foreign becomes air: the channel attention takes the maximum over all that it is shown, and a lead marker
    far from any cluster would change what is seen there.

    Args:
        pixels: H x W, float32 in [0, 1].

    Returns:
        3 x H x W, float32 in [0, 1].
    """
    planes = np.empty((3, *pixels.shape), np.float32)
    grey, fine, smooth = planes
    _grey(_without(pixels, breast.foreign), breast, out=grey)
    surroundings = _surroundings(grey)
    np.subtract(grey, surroundings, out=fine)
    np.subtract(cv2.GaussianBlur(grey, (0, 0), _SMOOTH), surroundings, out=smooth)
    for contrast in (fine, smooth):
        gain = CONTRAST_GAIN / max(_spread(contrast, breast), _ROUNDING)
        _scale(contrast, gain, CONTRAST_ZERO, out=contrast)
    return planes


def _without(pixels: Pixels, foreign: npt.NDArray[np.bool_] | None) -> Pixels:
    """The image with its darkest grey in the cells of what is foreign."""
    if foreign is None or not foreign.any():
        return pixels
    cleared = pixels.copy()
    dark = np.repeat(np.repeat(foreign, CELL, axis=0), CELL, axis=1)
    cleared[dark[: pixels.shape[0], : pixels.shape[1]]] = pixels.min()
    return cleared


def _grey(pixels: Pixels, breast: Breast, *, out: Pixels) -> None:
    """Grey levels on a common scale: the breast's 1st and 99th percentile come to lie at 0.05 and 0.75."""
    low, high = np.percentile(_sample(pixels, breast), _PERCENTILES)
    gain = (_LEVELS[1] - _LEVELS[0]) / max(float(high - low), _ROUNDING)
    _scale(pixels, gain, _LEVELS[0] - float(low) * gain, out=out)


def _scale(image: Pixels, gain: float, zero: float, *, out: Pixels) -> None:
    np.multiply(image, np.float32(gain), out=out)
    out += np.float32(zero)
    np.clip(out, 0.0, 1.0, out=out)


def _surroundings(grey: Pixels) -> Pixels:
    """A wide blur, made on an image exactly four times smaller: odd sides are filled up with their last pixels."""
    height, width = grey.shape
    below, beside = -height % 4, -width % 4
    if below or beside:
        grey = cv2.copyMakeBorder(grey, 0, below, 0, beside, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    full = (width + beside, height + below)
    small = cv2.resize(grey, (full[0] // 4, full[1] // 4), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), _WIDE / 4), full, interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide[:height, :width], np.float32)


def _sample(image: Pixels, breast: Breast) -> Pixels:
    """One breast pixel in sixteen: plenty for a percentile. The rim is left out: it holds air."""
    height, width = image.shape
    core = cv2.erode(breast.cells.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2) > 0
    cells = core if core.any() else breast.cells
    inside = np.repeat(np.repeat(cells, CELL // _STEP, axis=0), CELL // _STEP, axis=1)
    return image[::_STEP, ::_STEP][inside[: -(-height // _STEP), : -(-width // _STEP)]]


def _spread(contrast: Pixels, breast: Breast) -> float:
    """Standard deviation of the ordinary: the median deviation does not see calcifications."""
    sample = _sample(contrast, breast)
    return 1.4826 * float(np.median(np.abs(sample - np.median(sample))))
