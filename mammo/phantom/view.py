"""Phantom views: anatomy, clusters, distractors, detector and processing composed, with their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.phantom.anatomy import COARSE, Anatomy, View, distance_mm, grow
from mammo.phantom.appearance import Appearance, grey_levels, quantum_noise, vendor_a
from mammo.phantom.body import Body, sample_body
from mammo.phantom.calcifications import Cluster, Speck, contrast, outline, sample_cluster, thickness
from mammo.phantom.distractors import distractors
from mammo.phantom.texture import Field, difference_of_gaussians

Laterality = Literal["L", "R"]

LEAST_SNR = 4.0
"""Median peak signal-to-noise ratio of a cluster's calcifications; below 2 no reader would find it. Fainter clusters
are made denser, because a truth that nobody can see teaches a network to guess."""

BAND_MM = (0.085, 0.28)
"""Fine and coarse scale of the band pass in which that ratio is measured."""

LEAST_ROOM_MM = 2.0
"""A cluster that would have to be squeezed below this radius is left out."""

AIR = 0.12
"""Relative attenuation below which a pixel lies outside the breast."""


@dataclass(frozen=True, eq=False)
class PhantomView:
    """One synthetic mammogram with everything that is in it."""

    stored: npt.NDArray[np.uint16]
    """H x W in [0, 2**bits - 1], dense tissue bright whatever `appearance.photometric` says of files."""

    bits: int
    spacing_mm: float
    laterality: Laterality
    view: View
    truth: tuple[Finding, ...]
    """One finding per cluster: mask = convex hull of the calcifications + 1 mm, box = tight box of the mask."""

    calcifications: tuple[Mask, ...]
    """Every calcification of every cluster, cluster by cluster; distractors are not among them."""

    appearance: Appearance

    @property
    def size(self) -> Size:
        height, width = self.stored.shape
        return Size(width, height)


def phantom_patient(
    seed: int, *, appearance: Appearance | None = None, positive: float = 0.6
) -> tuple[PhantomView, PhantomView, PhantomView, PhantomView]:
    """Draw LCC, LMLO, RCC and RMLO of one woman; the same seed gives the same pixels.

    Args:
        seed: names the woman, 0 or more.
        appearance: the vendor; default `vendor_a()`.
        positive: probability that a breast has clusters; then it has one or two, in both of its views.
    """
    rng = np.random.default_rng([seed, 999])
    body = sample_body(rng)
    views = []
    for laterality in ("L", "R"):
        has_clusters = rng.random() < positive
        clusters = [sample_cluster(rng) for _ in range(int(rng.integers(1, 3)))] if has_clusters else []
        views += [
            phantom_view(
                seed, laterality=laterality, view=view, clusters=clusters, body=body, appearance=appearance
            )
            for view in ("CC", "MLO")
        ]
    return views[0], views[1], views[2], views[3]


def phantom_view(
    seed: int,
    *,
    laterality: Laterality = "L",
    view: View = "CC",
    clusters: Sequence[Cluster] | int = 1,
    body: Body | None = None,
    appearance: Appearance | None = None,
    width: int | None = None,
    height: int | None = None,
    spacing_mm: float | None = None,
    num_distractors: int = 4,
) -> PhantomView:
    """Draw one view.

    Args:
        clusters: the clusters, or how many to draw.
        body: the woman; drawn when missing.
        width, height: in pixels, at least 128; default: the vendor's. A small field holds a small breast.
        spacing_mm: default: the vendor's.

    Raises:
        ValueError: a side below 128 pixels.
    """
    vendor = appearance or vendor_a()
    width, height = width or vendor.width, height or vendor.height
    spacing_mm = spacing_mm or vendor.spacing_mm
    if min(width, height) < 128:
        raise ValueError(f"expected sides of at least 128 pixels, got {width} x {height}")
    rng = np.random.default_rng([seed, laterality == "R", view == "MLO"])
    drawn_body = sample_body(rng)
    if isinstance(clusters, int):
        clusters = [sample_cluster(rng) for _ in range(clusters)]
    anatomy = grow(rng, body or drawn_body, view, width=width, height=height, spacing_mm=spacing_mm)
    attenuation = anatomy.attenuation
    air = attenuation < AIR
    noise = quantum_noise(rng, attenuation, vendor)
    truth: list[Finding] = []
    calcifications: list[Mask] = []
    frame = Box(0, 0, attenuation.shape[1], attenuation.shape[0])
    free = anatomy.room - min(3.0, float(anatomy.room.max()) / 4)
    for cluster in clusters:
        specks = _place(cluster, anatomy, free, view)
        if not specks:
            continue
        masks = [speck.mask for speck in specks]
        extent = outline(masks, spacing_mm=spacing_mm).within(frame)
        assert extent is not None, "a cluster lies inside the breast"
        _expose_cluster(attenuation, noise, specks, vendor, spacing_mm=spacing_mm)
        calcifications += masks
        truth.append(Finding(label=CLUSTER, score=1.0, box=extent.frame, mask=extent))
        np.minimum(free, _clearance(free, extent.frame, anatomy.cell_mm), out=free)
    for speck in distractors(rng, anatomy, free, number=num_distractors):
        _expose(attenuation, [speck], vendor)
    noise += attenuation
    stored = np.zeros((height, width), np.uint16)
    stored[: frame.y1, : frame.x1] = grey_levels(noise, air, vendor, spacing_mm=spacing_mm)
    _hot_pixels(rng, stored, vendor)
    made = PhantomView(
        stored, vendor.bits, spacing_mm, "L", view, tuple(truth), tuple(calcifications), vendor
    )
    return made if laterality == "L" else _mirrored(made)


def _place(cluster: Cluster, anatomy: Anatomy, free: Field, view: View) -> list[Speck]:
    """The calcifications of a cluster where it fits best, near its place in the breast; none without any room."""
    radius = min(cluster.radius_mm, float(free.max()))
    if radius < LEAST_ROOM_MM:
        return []
    down, across = anatomy.nipple
    wanted = (
        down + (cluster.lateral if view == "CC" else cluster.vertical) * anatomy.half_height_mm * 0.8,
        across * cluster.depth,
    )
    rows, columns = np.ogrid[: free.shape[0], : free.shape[1]]
    cost = (rows * anatomy.cell_mm - wanted[0]) ** 2 + (columns * anatomy.cell_mm - wanted[1]) ** 2
    cost = np.where(
        free >= radius, cost - 60 * anatomy.glandular, np.inf
    )  # most cancers arise in glandular tissue
    row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
    centre = int(row) * anatomy.cell_mm, int(column) * anatomy.cell_mm
    shrink = radius / cluster.radius_mm
    specks = []
    for index, (dy, dx) in enumerate(zip(cluster.rows(view), cluster.columns, strict=True)):
        diameter = float(cluster.diameters[index])
        shape = np.random.default_rng(int(cluster.seeds[index]))
        patch = thickness(shape, diameter, cluster.kind, spacing_mm=anatomy.spacing_mm)
        peak = contrast(diameter) * float(cluster.densities[index])
        specks.append(
            Speck.at(
                centre[0] + dy * shrink,
                centre[1] + dx * shrink,
                patch * np.float32(peak),
                spacing_mm=anatomy.spacing_mm,
            )
        )
    return specks


def _expose_cluster(
    attenuation: Field, noise: Field, specks: Sequence[Speck], vendor: Appearance, *, spacing_mm: float
) -> None:
    """Add a cluster to the attenuation, denser when its median calcification would drown in noise and texture."""
    frame = Box(0, 0, attenuation.shape[1], attenuation.shape[0])
    roi = _frame_of(specks).dilated(round(2 / spacing_mm)).intersection(frame)
    assert roi is not None, "a cluster lies inside the breast"
    alone = np.zeros((roi.height, roi.width), np.float32)
    moved = [speck.shifted(-roi.x0, -roi.y0) for speck in specks]
    _expose(alone, moved, vendor)
    fine, coarse = (scale / spacing_mm for scale in BAND_MM)
    background = attenuation[roi.slices] + noise[roi.slices]
    deviation = float(difference_of_gaussians(background, fine=fine, coarse=coarse).std())
    response = difference_of_gaussians(alone, fine=fine, coarse=coarse)
    peaks = [float(response[speck.mask.frame.slices].max()) for speck in moved]
    ratio = float(np.median(peaks)) / max(deviation, 1e-6)
    attenuation[roi.slices] += alone * np.float32(max(1.0, LEAST_SNR / max(ratio, 1e-3)))


def _expose(attenuation: Field, specks: Sequence[Speck], vendor: Appearance) -> None:
    """Add specks as the detector sees them: blurred by its point spread; parts outside the image are lost."""
    for speck in specks:
        frame = speck.frame.intersection(Box(0, 0, attenuation.shape[1], attenuation.shape[0]))
        if frame is None:
            continue
        seen = cv2.GaussianBlur(speck.patch, (0, 0), vendor.blur, borderType=cv2.BORDER_CONSTANT)
        rows, columns = frame.shifted(-speck.x0, -speck.y0).slices
        attenuation[frame.slices] += np.float32(vendor.calcification_contrast) * seen[rows, columns]


def _frame_of(specks: Sequence[Speck]) -> Box:
    frame = specks[0].frame
    for speck in specks[1:]:
        frame = frame.union(speck.frame)
    return frame


def _clearance(free: Field, box: Box, cell_mm: float) -> Field:
    """Distance of each coarse cell to a box of pixels, mm, less 2 mm: clusters do not overlap."""
    open_cells = np.ones(free.shape, np.bool_)
    open_cells[box.y0 // COARSE : -(-box.y1 // COARSE), box.x0 // COARSE : -(-box.x1 // COARSE)] = False
    return distance_mm(open_cells, cell_mm) - np.float32(2)


def _hot_pixels(rng: np.random.Generator, stored: npt.NDArray[np.uint16], vendor: Appearance) -> None:
    """Single saturated pixels inside the breast: the classic trap for a brightest-pixel prompt."""
    rows = rng.integers(0, stored.shape[0], vendor.hot_pixels)
    columns = rng.integers(0, stored.shape[1], vendor.hot_pixels)
    stored[rows, columns] = np.where(stored[rows, columns] > 0, 2**vendor.bits - 1, 0)


def _mirrored(view: PhantomView) -> PhantomView:
    """The same view of the other breast."""
    width = view.stored.shape[1]
    truth = []
    for finding in view.truth:
        assert finding.mask is not None, "every phantom finding has a mask"
        mask = _mirrored_mask(finding.mask, width)
        truth.append(replace(finding, mask=mask, box=mask.frame))
    return replace(
        view,
        stored=np.ascontiguousarray(view.stored[:, ::-1]),
        laterality="R",
        truth=tuple(truth),
        calcifications=tuple(_mirrored_mask(mask, width) for mask in view.calcifications),
    )


def _mirrored_mask(mask: Mask, width: int) -> Mask:
    return Mask(np.ascontiguousarray(mask.bitmap[:, ::-1]), width - mask.frame.x1, mask.y0)
