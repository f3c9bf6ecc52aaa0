"""Match the findings of two readings that are the same lesion.

Two findings may match if the IoU of their boxes reaches a threshold, or if the centre of either box lies in the other
(the centre rule of CAD studies). Among all one-to-one assignments of such pairs, the one with the largest total
similarity is taken. Similarity is the IoU of the boxes, or `MIN_SIMILARITY` where only the centre rule allows a pair.

A point has no box to overlap. It matches a finding whose box it lies in, with or without the centre rule, or another
point within `POINT_REACH_MM`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mammo.findings import POINT_REACH_MM, Finding
from mammo.geometry import Box, Spacing

MIN_SIMILARITY = 1e-3
"""Similarity of a pair that only the centre rule allows, and of a point in a box. For two points it falls with their
distance."""


def match(
    first: Sequence[Finding],
    second: Sequence[Finding],
    *,
    min_iou: float,
    match_centres: bool,
    spacing: Spacing,
) -> list[tuple[int, int]]:
    """Return the index pairs (first, second) of the same lesion, in the order of the first reading; each index once.

    Args:
        min_iou: Lowest IoU of two boxes that may match, in [0, 1]. Boxes that do not overlap never match by IoU.
        match_centres: Also match two boxes if the centre of either lies in the other.
        spacing: Pixel spacing, for the distance of two points.
    """
    # Here, because the backend, which imports this module, starts without scipy.
    from scipy.optimize import linear_sum_assignment

    if not first or not second:
        return []
    similarity = np.array(
        [
            [
                _point_similarity(a, b, spacing)
                if a.is_point or b.is_point
                else _box_similarity(a.box, b.box, min_iou=min_iou, match_centres=match_centres)
                for b in second
            ]
            for a in first
        ]
    )
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if similarity[a, b] > 0]


def _box_similarity(a: Box, b: Box, *, min_iou: float, match_centres: bool) -> float:
    """Return the similarity of two boxes, in [0, 1]; 0 where they must not match."""
    iou = a.iou(b)
    if iou >= min_iou and iou > 0:
        return max(iou, MIN_SIMILARITY)
    return (
        max(iou, MIN_SIMILARITY)
        if match_centres and (_contains(a, b.centre) or _contains(b, a.centre))
        else 0.0
    )


def _point_similarity(a: Finding, b: Finding, spacing: Spacing) -> float:
    """Return the similarity of two findings of which at least one is a point."""
    if not (a.is_point and b.is_point):
        return MIN_SIMILARITY if _contains(a.box, b.box.centre) or _contains(b.box, a.box.centre) else 0.0
    (ax, ay), (bx, by) = a.box.centre, b.box.centre
    distance_mm = math.hypot((ax - bx) * spacing.column_mm, (ay - by) * spacing.row_mm)
    return MIN_SIMILARITY * (1 - distance_mm / (2 * POINT_REACH_MM)) if distance_mm <= POINT_REACH_MM else 0.0


def _contains(box: Box, centre: tuple[float, float]) -> bool:
    x, y = centre
    return box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1
