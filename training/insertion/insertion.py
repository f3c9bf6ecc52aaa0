"""Insertion of lesions into the pixels of a mammogram, with their truth.

A lesion is drawn as relative attenuation on a fine grid, blurred by the detector, averaged to the pixels of the
mammogram, and added to them. Its contrast is set relative to the local noise: the median peak of its calcifications,
in a band of calcification size, becomes a given multiple of the robust standard deviation of the tissue there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mammo.detector.normalise import CELL, find_breast
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.phantom.calcifications import VISIBLE_SHARE, outline
from mammo.phantom.texture import difference_of_gaussians
from mammo.pixels import Pixels, size_of
from training.insertion.lesions import Lesion, sample_benign, sample_inserted_cluster

FINE_MM = 0.05
"""Maximum spacing of the grid on which lesions are drawn."""

BAND_MM = (0.12, 0.4)
"""Fine and coarse standard deviation of the band in which contrast is measured."""

MEDIAN_RATIO, RATIO_SPREAD = 6.5, 0.4
"""Median and logarithmic spread of a cluster's contrast, in standard deviations of the tissue."""

MIN_RATIO, MAX_RATIO = 3.5, 15.0
"""Below the minimum no reader would find a cluster; above the maximum nobody would miss it."""

BENIGN_RATIO = (5.0, 20.0)

TRIES = 40
"""Random places tried for a lesion."""

MIN_SHOWN = 3
"""Least number of separate calcifications that an inserted cluster shows; otherwise it is left out."""


@dataclass(frozen=True, kw_only=True)
class InsertionPlan:
    """What to insert into one mammogram."""

    clusters: int
    benign: int
    blur_mm: float
    """Standard deviation of the detector's point spread function."""

    sharpening: float = 0.0
    """Amount of the vendor's unsharp mask, which leaves a dark rim around a calcification."""

    film: bool = False
    """Also insert dust and hairs."""

    edge_mm: float = 6.0
    """Least distance between a lesion's centre and the edge of the breast."""


@dataclass(frozen=True, eq=False)
class Inserted:
    """A mammogram with inserted lesions."""

    pixels: Pixels
    """H x W float32 in [0, 1]."""

    truth: tuple[Finding, ...]
    calcifications: tuple[Mask, ...]
    """Of the clusters."""


def insert(
    pixels: Pixels,
    plan: InsertionPlan,
    *,
    spacing_mm: float,
    rng: np.random.Generator,
    avoid: Sequence[Box] = (),
) -> Inserted:
    """Insert clusters and benign structures into the breast; they do not overlap.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright; not changed.
        plan: what to insert. A lesion without a free place is left out.
        spacing_mm: of the pixels.
        avoid: boxes in which nothing is inserted.
    """
    canvas = _Canvas(pixels, spacing_mm, plan, list(avoid))
    for _ in range(plan.clusters):
        ratio = float(np.clip(rng.lognormal(np.log(MEDIAN_RATIO), RATIO_SPREAD), MIN_RATIO, MAX_RATIO))
        canvas.add(sample_inserted_cluster(rng), ratio, rng)
    for _ in range(plan.benign):
        canvas.add(sample_benign(rng, film=plan.film), float(rng.uniform(*BENIGN_RATIO)), rng)
    return Inserted(np.clip(canvas.pixels, 0, 1), tuple(canvas.truth), tuple(canvas.calcifications))


class _Canvas:
    """A mammogram that receives lesions."""

    def __init__(self, pixels: Pixels, spacing_mm: float, plan: InsertionPlan, taken: list[Box]) -> None:
        self.pixels = pixels.copy()
        self.size = size_of(pixels)
        self.spacing_mm = spacing_mm
        self.plan = plan
        self.taken = taken
        self.truth: list[Finding] = []
        self.calcifications: list[Mask] = []
        self._places = _places(pixels, edge_cells=round(plan.edge_mm / spacing_mm / CELL))

    def add(self, lesion: Lesion, ratio: float, rng: np.random.Generator) -> None:
        """Add a lesion at a random free place with a contrast of `ratio`; leave it out if there is none."""
        drawing = draw(
            lesion, spacing_mm=self.spacing_mm, blur_mm=self.plan.blur_mm, sharpening=self.plan.sharpening
        )
        frame = self._free_frame(drawing.half_side, rng)
        if frame is None or not drawing.parts:
            return
        masks = [Mask(each.bitmap, each.x0 + frame.x0, each.y0 + frame.y0) for each in drawing.shown()]
        if lesion.kind == "cluster" and len(masks) < MIN_SHOWN:
            return
        amplitude = ratio * self._deviation(frame) / max(drawing.peak(self.spacing_mm), 1e-6)
        self.pixels[frame.slices] += drawing.attenuation * np.float32(amplitude)
        self.taken.append(frame)
        if lesion.kind == "cluster":
            mask = outline(masks, spacing_mm=self.spacing_mm).within(self.size.box)
            assert mask is not None, "a cluster lies inside the image"
            name = f"inserted-{len(self.truth)}"
            self.truth.append(Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=name))
            self.calcifications += masks

    def _free_frame(self, half_side: int, rng: np.random.Generator) -> Box | None:
        for _ in range(TRIES):
            row, column = self._places[rng.integers(len(self._places))] * CELL + rng.integers(0, CELL, 2)
            frame = Box(
                int(column) - half_side, int(row) - half_side, int(column) + half_side, int(row) + half_side
            )
            inside = frame.within(self.size) if self.size.box.intersection(frame) else None
            if inside == frame and all(frame.intersection(each) is None for each in self.taken):
                return frame
        return None

    def _deviation(self, frame: Box) -> float:
        """Robust standard deviation of the tissue in the band of calcification size."""
        response = _band(np.ascontiguousarray(self.pixels[frame.slices]), self.spacing_mm)
        return 1.4826 * float(np.median(np.abs(response - np.median(response)))) + 1e-5


def _places(pixels: Pixels, *, edge_cells: int) -> npt.NDArray[np.int_]:
    """N x 2 rows and columns of the cells of the breast away from its edge; of all its cells if none is."""
    breast = find_breast(pixels)
    # The breast continues beyond the border of the image: only its skin is an edge.
    core = cv2.erode(
        breast.cells.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(1, edge_cells), borderValue=1
    )
    return np.argwhere(core if core.any() else breast.cells)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A lesion as relative attenuation on square pixels."""

    attenuation: Pixels
    """2 x `half_side` on each side."""

    half_side: int
    parts: tuple[Box, ...]
    """The pixels of each part."""

    def shown(self) -> list[Mask]:
        """One tight mask per separate calcification that shows: connected pixels above `VISIBLE_SHARE` of the median
        peak."""
        visible = self.attenuation > VISIBLE_SHARE * self._median_peak(self.attenuation)
        return Mask(visible, 0, 0).components() if visible.any() else []

    def peak(self, spacing_mm: float) -> float:
        """Median over the parts of the peak in the band of calcification size."""
        return self._median_peak(_band(self.attenuation, spacing_mm))

    def _median_peak(self, image: Pixels) -> float:
        return float(np.median([image[part.slices].max() for part in self.parts]))


def draw(lesion: Lesion, *, spacing_mm: float, blur_mm: float, sharpening: float) -> Drawing:
    """Draw a lesion at a pixel spacing.

    Args:
        blur_mm: standard deviation of the detector's point spread; a sharp lesion gets a fifth of it.
        sharpening: amount of an unsharp mask of 0.35 mm.
    """
    per_pixel = max(1, int(np.ceil(spacing_mm / FINE_MM)))
    fine_mm = spacing_mm / per_pixel
    half_side = int(np.ceil(lesion.radius_mm / spacing_mm)) + 2
    side = 2 * half_side * per_pixel
    fine = np.zeros((side, side), np.float32)
    size = Size(2 * half_side, 2 * half_side)
    parts = []
    for part in lesion.parts:
        patch = part.patch(fine_mm)
        y0 = round(part.row_mm / fine_mm + side / 2 - patch.shape[0] / 2)
        x0 = round(part.column_mm / fine_mm + side / 2 - patch.shape[1] / 2)
        box = Box(x0, y0, x0 + patch.shape[1], y0 + patch.shape[0])
        if box.within(Size(side, side)) != box:
            continue
        fine[box.slices] += patch
        corners = (edge / per_pixel for edge in box.as_tuple())
        parts.append(Box.around(*corners).within(size))
    sigma = (0.2 if lesion.sharp else 1.0) * blur_mm / fine_mm
    blurred = cv2.GaussianBlur(fine, (0, 0), max(sigma, 0.3))
    pixels = np.asarray(
        cv2.resize(blurred, (size.width, size.height), interpolation=cv2.INTER_AREA), np.float32
    )
    if sharpening:
        soft = cv2.GaussianBlur(pixels, (0, 0), 0.35 / spacing_mm)
        pixels = np.asarray(pixels + np.float32(sharpening) * (pixels - soft), np.float32)
    return Drawing(pixels, half_side, tuple(parts))


def _band(image: Pixels, spacing_mm: float) -> Pixels:
    """The image in the band of calcification size; at coarse spacings the band starts at half a pixel."""
    fine, coarse = BAND_MM
    return difference_of_gaussians(
        image, fine=max(fine / spacing_mm, 0.5), coarse=max(coarse / spacing_mm, 1.2)
    )
