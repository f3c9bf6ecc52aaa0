"""Clusters enter the breast: where they fit, as dense as it takes to be seen, as the detector sees them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mammo.geometry import Box
from mammo.phantom.anatomy import COARSE, Anatomy, View, distance_mm
from mammo.phantom.appearance import Appearance
from mammo.phantom.calcifications import Cluster, Speck, contrast, thickness
from mammo.phantom.texture import Field, difference_of_gaussians

MIN_SNR = 4.0
"""Median peak signal-to-noise ratio of a cluster's calcifications; below 2 no reader would find it. Fainter clusters
are made denser, because a truth that nobody can see teaches a network to guess."""

BAND_MM = (0.085, 0.28)
"""Fine and coarse scale of the band pass in which that ratio is measured."""

MIN_ROOM_MM = 2.0
"""A cluster that would have to be squeezed below this radius is left out."""


def place(cluster: Cluster, anatomy: Anatomy, free: Field, view: View) -> list[Speck]:
    """The calcifications of a cluster where it fits best, near its place in the breast; none without any room."""
    radius = min(cluster.radius_mm, float(free.max()))
    if radius < MIN_ROOM_MM:
        return []
    along = cluster.lateral if view == "CC" else cluster.vertical
    centre = nearest_place(anatomy, free, depth=cluster.depth, along=along, radius_mm=radius)
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


def nearest_place(
    anatomy: Anatomy, free: Field, *, depth: float, along: float, radius_mm: float
) -> tuple[float, float]:
    """Row and column in mm of the free place that is nearest to the one wanted, glandular tissue preferred.

    Args:
        free: h x w coarse grid, mm to whatever is in the way; somewhere at least `radius_mm`.
        depth: share of the way from the chest wall to the nipple.
        along: -1 to 1 of the breast's half height, seen from the nipple.
    """
    down, across = anatomy.nipple
    wanted = down + along * anatomy.half_height_mm * 0.8, across * depth
    rows, columns = np.ogrid[: free.shape[0], : free.shape[1]]
    cost = (rows * anatomy.cell_mm - wanted[0]) ** 2 + (columns * anatomy.cell_mm - wanted[1]) ** 2
    # most cancers arise in glandular tissue
    cost = np.where(free >= radius_mm, cost - 60 * anatomy.glandular, np.inf)
    row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(row) * anatomy.cell_mm, int(column) * anatomy.cell_mm


def expose_cluster(
    attenuation: Field, noise: Field, specks: Sequence[Speck], vendor: Appearance, *, spacing_mm: float
) -> None:
    """Add a cluster to the attenuation, denser when its median calcification would drown in noise and texture."""
    frame = Box(0, 0, attenuation.shape[1], attenuation.shape[0])
    roi = _frame_of(specks).dilated(round(2 / spacing_mm)).intersection(frame)
    assert roi is not None, "a cluster lies inside the breast"
    alone = np.zeros((roi.height, roi.width), np.float32)
    moved = [speck.shifted(-roi.x0, -roi.y0) for speck in specks]
    expose(alone, moved, vendor)
    fine, coarse = (scale / spacing_mm for scale in BAND_MM)
    background = attenuation[roi.slices] + noise[roi.slices]
    deviation = float(difference_of_gaussians(background, fine=fine, coarse=coarse).std())
    response = difference_of_gaussians(alone, fine=fine, coarse=coarse)
    peaks = [float(response[speck.mask.frame.slices].max()) for speck in moved]
    ratio = float(np.median(peaks)) / max(deviation, 1e-6)
    attenuation[roi.slices] += alone * np.float32(max(1.0, MIN_SNR / max(ratio, 1e-3)))


def expose(attenuation: Field, specks: Sequence[Speck], vendor: Appearance) -> None:
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


def clearance(free: Field, box: Box, cell_mm: float) -> Field:
    """Distance of each coarse cell to a box of pixels, mm, less 2 mm: clusters do not overlap."""
    open_cells = np.ones(free.shape, np.bool_)
    open_cells[box.y0 // COARSE : -(-box.y1 // COARSE), box.x0 // COARSE : -(-box.x1 // COARSE)] = False
    return distance_mm(open_cells, cell_mm) - np.float32(2)
