"""Matching: which finding of one reading is the same lesion as which finding of the other.

Two findings may be one lesion when the IoU of their boxes reaches a least value, or when the centre of either box
lies in the other box (the centre rule of CAD studies). Of all one-to-one assignments of such pairs, the one with the
largest sum of similarities is taken; similarity is the IoU of the boxes, and the centre rule alone counts a little.

A finding that only a point marks has no box to overlap. It may be the lesion in whose box it lies, whatever the centre
rule is, or that of another point no farther away than a cluster may reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from mammo.findings import POINT_REACH_MM, Finding
from mammo.geometry import Box, Spacing

CENTRED = 1e-3
"""Similarity of a pair that only the centre rule allows, or a point; of two points the less, the farther apart."""


def match(
    first: Sequence[Finding],
    second: Sequence[Finding],
    *,
    least_iou: float,
    centres: bool,
    spacing: Spacing,
) -> list[tuple[int, int]]:
    """Pairs of indices of the same lesion, each index once, in the order of the first reading.

    Args:
        least_iou: IoU of the boxes from which two findings may be one lesion; an overlap of nothing never is.
        centres: a centre that lies in the other box is enough.
        spacing: of the pixels, for the distance of two points.
    """
    if not first or not second:
        return []
    similar = np.array(
        [
            [
                _of_points(a, b, spacing)
                if a.is_point or b.is_point
                else _similarity(a.box, b.box, least_iou=least_iou, centres=centres)
                for b in second
            ]
            for a in first
        ]
    )
    rows, columns = linear_sum_assignment(similar, maximize=True)
    return [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if similar[a, b] > 0]


def _similarity(a: Box, b: Box, *, least_iou: float, centres: bool) -> float:
    """How much two boxes speak for one lesion, in [0, 1]; 0 where they may not be paired."""
    iou = a.iou(b)
    if iou >= least_iou and iou > 0:
        return max(iou, CENTRED)
    return max(iou, CENTRED) if centres and (_holds(a, b.centre) or _holds(b, a.centre)) else 0.0


def _of_points(a: Finding, b: Finding, spacing: Spacing) -> float:
    """The same, where at least one of them is a point."""
    if not (a.is_point and b.is_point):
        return CENTRED if _holds(a.box, b.box.centre) or _holds(b.box, a.box.centre) else 0.0
    (ax, ay), (bx, by) = a.box.centre, b.box.centre
    apart = math.hypot((ax - bx) * spacing.column_mm, (ay - by) * spacing.row_mm)
    return CENTRED * (1 - apart / (2 * POINT_REACH_MM)) if apart <= POINT_REACH_MM else 0.0


def _holds(box: Box, centre: tuple[float, float]) -> bool:
    x, y = centre
    return box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1
