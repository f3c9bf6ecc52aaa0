"""Places clusters in the breast, raises their contrast until they are visible, and adds them to the attenuation."""

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
"""Minimum median of the peak signal-to-noise ratios of a cluster's calcifications; below 2 no reader would find them.
Fainter clusters are made denser: an invisible truth teaches a network to guess."""

BAND_MM = (0.085, 0.28)
"""Fine and coarse scale of the band pass in which the ratio is measured."""

MIN_RADIUS_MM = 2.0
"""Radius below which a cluster is left out rather than shrunk."""


def place_cluster(cluster: Cluster, anatomy: Anatomy, clearance: Field, view: View) -> list[Speck]:
    """Project the calcifications of a cluster to the best place near its position in the breast.

    Args:
        clearance: h x w coarse grid, in mm; a cluster larger than its maximum is shrunk.

    Returns:
        One speck per calcification; empty when even a cluster of `MIN_RADIUS_MM` does not fit.
    """
    radius = min(cluster.radius_mm, float(clearance.max()))
    if radius < MIN_RADIUS_MM:
        return []
    along = cluster.lateral if view == "CC" else cluster.vertical
    centre = nearest_place(anatomy, clearance, depth=cluster.depth, along=along, radius_mm=radius)
    shrink = radius / cluster.radius_mm
    specks = []
    for index, (dy, dx) in enumerate(zip(cluster.rows(view), cluster.columns, strict=True)):
        diameter = float(cluster.diameters[index])
        rng = np.random.default_rng(int(cluster.seeds[index]))
        patch = thickness(rng, diameter, cluster.morphology, spacing_mm=anatomy.spacing_mm)
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
    anatomy: Anatomy, clearance: Field, *, depth: float, along: float, radius_mm: float
) -> tuple[float, float]:
    """Find the place nearest to a position in the breast that has enough clearance; prefer glandular tissue.

    Args:
        clearance: h x w coarse grid, in mm; its maximum is at least `radius_mm`.
        depth: position between the chest wall (0) and the nipple (1).
        along: position relative to the nipple, -1 to 1 in half heights of the breast.
        radius_mm: clearance that is needed.

    Returns:
        Row and column, in mm.
    """
    down, across = anatomy.nipple
    row_mm, column_mm = down + along * anatomy.half_height_mm * 0.8, across * depth
    rows, columns = np.ogrid[: clearance.shape[0], : clearance.shape[1]]
    cost = (rows * anatomy.cell_mm - row_mm) ** 2 + (columns * anatomy.cell_mm - column_mm) ** 2
    # Most cancers arise in glandular tissue.
    cost = np.where(clearance >= radius_mm, cost - 60 * anatomy.glandular, np.inf)
    row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(row) * anatomy.cell_mm, int(column) * anatomy.cell_mm


def add_cluster(
    attenuation: Field, noise: Field, specks: Sequence[Speck], vendor: Appearance, *, spacing_mm: float
) -> None:
    """Add a cluster to the attenuation in place; scale its contrast up to a median ratio of `MIN_SNR`.

    Args:
        attenuation: H x W, changed in place.
        noise: H x W, noise that will be added to the attenuation.
        specks: the calcifications of the cluster; at least one.
        vendor: its point spread and calcification contrast are applied.
        spacing_mm: pixel spacing.
    """
    frame = Box(0, 0, attenuation.shape[1], attenuation.shape[0])
    roi = _frame_of(specks).dilated(round(2 / spacing_mm)).intersection(frame)
    assert roi is not None, "a cluster lies inside the breast"
    alone = np.zeros((roi.height, roi.width), np.float32)
    moved = [speck.shifted(-roi.x0, -roi.y0) for speck in specks]
    add_specks(alone, moved, vendor)
    fine, coarse = (scale / spacing_mm for scale in BAND_MM)
    background = attenuation[roi.slices] + noise[roi.slices]
    deviation = float(difference_of_gaussians(background, fine=fine, coarse=coarse).std())
    response = difference_of_gaussians(alone, fine=fine, coarse=coarse)
    peaks = [float(response[speck.mask.frame.slices].max()) for speck in moved]
    ratio = float(np.median(peaks)) / max(deviation, 1e-6)
    attenuation[roi.slices] += alone * np.float32(max(1.0, MIN_SNR / max(ratio, 1e-3)))


def add_specks(attenuation: Field, specks: Sequence[Speck], vendor: Appearance) -> None:
    """Add specks to the attenuation in place, blurred by the detector's point spread and clipped to the image."""
    for speck in specks:
        frame = speck.frame.intersection(Box(0, 0, attenuation.shape[1], attenuation.shape[0]))
        if frame is None:
            continue
        blurred = cv2.GaussianBlur(speck.patch, (0, 0), vendor.blur, borderType=cv2.BORDER_CONSTANT)
        rows, columns = frame.shifted(-speck.x0, -speck.y0).slices
        attenuation[frame.slices] += np.float32(vendor.calcification_contrast) * blurred[rows, columns]


def _frame_of(specks: Sequence[Speck]) -> Box:
    frame = specks[0].frame
    for speck in specks[1:]:
        frame = frame.union(speck.frame)
    return frame


def distance_to_box(shape: tuple[int, ...], box: Box, cell_mm: float) -> Field:
    """Distance of each cell of the coarse grid to a box of pixels, in mm, minus a gap of 2 mm between clusters."""
    free = np.ones(shape, np.bool_)
    free[box.y0 // COARSE : -(-box.y1 // COARSE), box.x0 // COARSE : -(-box.x1 // COARSE)] = False
    return distance_mm(free, cell_mm) - np.float32(2)
