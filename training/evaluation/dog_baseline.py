"""An untrained detector of clusters by differences of Gaussians: the baseline that a trained network has to beat.

It follows the classical scheme of computer-aided detection before learned features: enhance, threshold by the local
noise, group (Chan et al., Med Phys 1987; Dengler, Behrens and Desaga, IEEE TMI 1993).

    1. A difference of Gaussians answers to bright spots of its scale; a ratio of 1.6 approximates the Laplacian of a
       Gaussian (Marr and Hildreth, 1980). Scales suit calcifications of about 0.25 to 0.7 mm.
    2. The response is divided by its own local spread, because noise and texture vary with tissue and exposure
       (Karssemeijer, 1993).
    3. Local maxima above `min_strength` are specks, unless they are elongated: vessels and ligaments are ridges, whose
       second principal curvature is small against the first (the edge test of Lowe, IJCV 2004, section 4.1).
    4. At least three specks within 5 mm of one are a cluster. Its score grows with their number and strength, and
       falls with their distance; none counts more than twice the third, so that two bright specks in noise are no
       cluster. Its box grows along strong specks in reach of each other.

Lengths are in mm: the image is resampled as the detector does it. Nothing is learned. The constants were chosen by hand
on clean full-field and film mammograms and on phantoms; they belong to the definition of the baseline, so that its
figures can be compared between releases.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mammo.detector import Breast, Detection, DetectorSpec, find_breast, resample, scale_to
from mammo.detector.normalise import CELL
from mammo.detector.tiling import MAX_PIXELS
from mammo.dicom import Mammogram
from mammo.geometry import Box, Size, Spacing
from mammo.pixels import Pixels, size_of
from training.evaluation.model_version import LOW_THRESHOLD

NAME = "baseline (difference of Gaussians)"

OPERATING_POINT = 0.5
"""Score of a finding; it gave 0.3 (film) to 2 (full-field) false positives per clean mammogram of those with which the
constants were chosen."""

SMALLEST_SPREAD = 1e-6
"""Least spread of a response: a uniform image has no noise to divide by."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class DogRecipe:
    """Constants of the baseline."""

    scales_mm: tuple[float, ...] = (0.10, 0.16, 0.25)
    """Standard deviations of the inner Gaussians."""

    ratio: float = 1.6
    """Outer standard deviation / inner standard deviation."""

    noise_mm: float = 3.0
    """Standard deviation of the window in which the spread of a response is measured."""

    skin_cells: int = 2
    """Cells of the breast map (16 pixels, 1.1 mm) along the skin in which no speck is sought."""

    speck_mm: float = 0.6
    """Diameter of the neighbourhood of which a speck is the maximum."""

    min_strength: float = 3.5
    """Least response of a speck, in local robust standard deviations."""

    max_strength: float = 12.0
    """Strength above which a speck counts no more: a single clip or artefact must not look like a cluster."""

    roundness: float = 0.5
    """Least ratio of the principal curvatures of a speck; 0 for a ridge, 1 for a round spot."""

    radius_mm: float = 5.0
    """Radius within which specks belong to one cluster."""

    reach_mm: float = 2.5
    """Standard deviation of the weight of a speck by its distance from the middle of the cluster."""

    min_specks: int = 3
    link_mm: float = 4.0
    """Greatest distance of a speck to a speck of the cluster, by which the box grows."""

    link_strength: float = 5.0
    """Least strength of a speck that widens the box, if there are three."""

    max_radius_mm: float = 15.0
    """Greatest distance from the middle to which the box grows."""

    margin_mm: float = 1.0
    """Margin of the box around the specks."""

    half_score: float = 10.0
    """Summed strength of a cluster with score 0.5."""


@dataclass(frozen=True, eq=False)
class Specks:
    """Bright spots in the pixel frame of the resampled image."""

    positions: Floats
    """N x 2: column, row."""

    strengths: Floats
    """N, in local robust standard deviations, clipped to `DogRecipe.max_strength`."""


class DogBaseline:
    """The baseline as a detector. Stateless."""

    def __init__(self, recipe: DogRecipe | None = None) -> None:
        self.recipe = recipe or DogRecipe()

    def __call__(self, mammogram: Mammogram) -> list[Detection]:
        """Return the clusters of a mammogram with a score of at least `LOW_THRESHOLD`, best first.

        Args:
            mammogram: without a pixel spacing it is treated as the detector treats it.
        """
        pixels, trained_mm = mammogram.pixels, DetectorSpec().spacing_mm
        size = size_of(pixels)
        scale = scale_to(trained_mm, spacing=mammogram.spacing, size=size, max_pixels=MAX_PIXELS)
        resampled = resample(pixels, scale)
        spacing = scale.spacing(mammogram.spacing) or Spacing(trained_mm, trained_mm, "assumed")
        specks = find_specks(resampled, self.recipe, mm_per_pixel=spacing.mean_mm)
        detections = [
            Detection(_to_mammogram(box, scale.x, scale.y, size), score)
            for box, score in group_specks(specks, self.recipe, mm_per_pixel=spacing.mean_mm)
            if score >= LOW_THRESHOLD
        ]
        return sorted(detections, key=lambda detection: (-detection.score, detection.box.as_tuple()))


def find_specks(pixels: Pixels, recipe: DogRecipe, *, mm_per_pixel: float) -> Specks:
    """Find round bright spots of the breast (steps 1 to 3).

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        mm_per_pixel: pixel spacing.
    """
    breast = find_breast(pixels)
    frame = breast.frame(size_of(pixels))
    part = pixels[frame.slices]
    inside = _interior(breast.cropped(frame), recipe.skin_cells, part.shape)
    if not inside.any():
        return Specks(np.empty((0, 2)), np.empty(0))
    strength = np.full(part.shape, -np.inf, np.float32)
    roundness = np.zeros(part.shape, np.float32)
    for scale_mm in recipe.scales_mm:
        sigma = scale_mm / mm_per_pixel
        response = _blur(part, sigma) - _blur(part, sigma * recipe.ratio)
        relative = response / _local_spread(response, inside, recipe.noise_mm / mm_per_pixel)
        is_stronger = relative > strength
        np.copyto(strength, relative, where=is_stronger)
        np.copyto(roundness, _roundness(response, max(1, round(sigma))), where=is_stronger)
    side = max(3, 2 * round(recipe.speck_mm / 2 / mm_per_pixel) + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    is_peak = (strength >= cv2.dilate(strength, disc)) & (strength >= recipe.min_strength)
    rows, columns = np.nonzero(is_peak & inside & (roundness >= recipe.roundness))
    strengths = np.minimum(strength[rows, columns].astype(np.float64), recipe.max_strength)
    positions = np.stack([columns + frame.x0, rows + frame.y0], axis=1).astype(np.float64)
    return Specks(positions, strengths)


def group_specks(specks: Specks, recipe: DogRecipe, *, mm_per_pixel: float) -> list[tuple[Box, float]]:
    """Group specks into clusters (step 4): boxes in the frame of the specks, with scores in (0, 1).

    The best middle takes the specks around it; the next one is sought among those that are left.
    """
    if len(specks.strengths) < recipe.min_specks:
        return []
    places = specks.positions * mm_per_pixel
    tree = cKDTree(places)
    weights = specks.strengths - recipe.min_strength + 0.5
    near = [np.array(each) for each in tree.query_ball_point(places, recipe.radius_mm)]

    def total(middle: int, members: Indices) -> float:
        if len(members) < recipe.min_specks:
            return 0.0
        squares = ((places[members] - places[middle]) ** 2).sum(axis=1)
        parts = weights[members] * np.exp(-squares / (2 * recipe.reach_mm**2))
        return float(np.minimum(parts, 2 * np.sort(parts)[-recipe.min_specks]).sum())

    totals = np.array([total(middle, members) for middle, members in enumerate(near)])
    is_free = np.ones(len(totals), np.bool_)
    clusters = []
    for middle in np.argsort(-totals, kind="stable").tolist():
        members = near[middle][is_free[near[middle]]]
        if not is_free[middle] or len(members) < recipe.min_specks:
            continue
        is_free[members] = False
        core = _core(specks, members, recipe)
        in_reach = is_free & (np.hypot(*(places - places[middle]).T) <= recipe.max_radius_mm)
        grown = _linked(tree, core, in_reach & (specks.strengths >= recipe.link_strength), recipe.link_mm)
        is_free[grown] = False
        box = _box_around(specks.positions[grown], margin=recipe.margin_mm / mm_per_pixel)
        strength = total(middle, members)
        clusters.append((box, strength / (strength + recipe.half_score)))
    return clusters


def _core(specks: Specks, members: Indices, recipe: DogRecipe) -> Indices:
    """The strong specks of a cluster, so that noise does not widen its box; at least the three strongest."""
    strengths = specks.strengths[members]
    third = float(np.sort(strengths)[-recipe.min_specks])
    return np.asarray(members[strengths >= min(max(third / 2, recipe.link_strength), third)], np.intp)


def _linked(tree: cKDTree, core: Indices, can_join: npt.NDArray[np.bool_], reach: float) -> Indices:
    """The core, and the specks that join it in steps of at most `reach`."""
    linked, added = set(core.tolist()), core.tolist()
    while added:
        neighbours = {each for near in tree.query_ball_point(tree.data[added], reach) for each in near}
        added = [each for each in neighbours - linked if can_join[each]]
        linked.update(added)
    return np.array(sorted(linked), np.intp)


def _box_around(positions: Floats, *, margin: float) -> Box:
    low, high = positions.min(axis=0) - margin, positions.max(axis=0) + 1 + margin
    return Box.around(low[0], low[1], high[0], high[1])


def _blur(image: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _interior(breast: Breast, skin_cells: int, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """H x W, True on the breast without its rim; a border of the image is no rim."""
    interior = cv2.erode(breast.cells.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=skin_cells)
    full = np.repeat(np.repeat(interior > 0, CELL, axis=0), CELL, axis=1)
    return np.asarray(full[: shape[0], : shape[1]], np.bool_)


def _local_spread(response: Pixels, inside: npt.NDArray[np.bool_], window: float) -> Pixels:
    """H x W, the robust standard deviation of a response around each pixel, at least half of the whole breast's.

    Values beyond three standard deviations are clipped, so that calcifications do not raise their own threshold.
    """
    sample = response[::4, ::4][inside[::4, ::4]]
    median = float(np.median(sample)) if sample.size else 0.0
    whole = 1.4826 * float(np.median(np.abs(sample - median))) if sample.size else 0.0
    whole = max(whole, SMALLEST_SPREAD)
    squares = np.minimum(np.abs(response), np.float32(3 * whole)) ** 2
    squares[~inside] = 0
    share = _wide_mean(inside.astype(np.float32), window)
    mean = _wide_mean(squares, window) / np.maximum(share, np.float32(1e-3))
    height, width = response.shape
    spread = cv2.resize(np.sqrt(np.maximum(mean, 0)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.maximum(np.asarray(spread, np.float32), np.float32(whole / 2))


def _wide_mean(image: Pixels, window: float) -> Pixels:
    """A wide blur, computed and returned on an image eight times smaller."""
    height, width = image.shape
    small = cv2.resize(image, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    return _blur(np.asarray(small, np.float32), window / 8)


def _roundness(response: Pixels, step: int) -> Pixels:
    """H x W, smaller / larger principal curvature where both are those of a peak, otherwise 0.

    Args:
        step: distance of the finite differences, in pixels.
    """
    padded = cv2.copyMakeBorder(response, step, step, step, step, cv2.BORDER_REPLICATE)
    height, width = response.shape

    def at(dy: int, dx: int) -> Pixels:
        return np.asarray(padded[step + dy : step + dy + height, step + dx : step + dx + width], np.float32)

    xx = at(0, step) + at(0, -step) - 2 * response
    yy = at(step, 0) + at(-step, 0) - 2 * response
    xy = (at(step, step) + at(-step, -step) - at(-step, step) - at(step, -step)) / 4
    middle, half = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    larger, smaller = middle - half, middle + half  # both negative on a peak
    ratio = np.divide(smaller, larger, out=np.zeros_like(response), where=larger < 0)
    return np.asarray(np.maximum(ratio, 0), np.float32)


def _to_mammogram(box: Box, scale_x: float, scale_y: float, size: Size) -> Box:
    corners = (box.x0 / scale_x, box.y0 / scale_y, box.x1 / scale_x, box.y1 / scale_y)
    return Box.around(*corners).within(size)
