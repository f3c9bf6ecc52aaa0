"""Take vertices away from an outline that has too many to be edited, and move the others so that it covers the same."""

from __future__ import annotations

import numpy as np

from mammo.geometry import Size
from mammo.masks.mask import Mask
from mammo.masks.polygons import Vertices, polygon_mask

STEPS = (1 / 64, 1 / 128, 1 / 256)
"""How far a vertex is moved at a time, as shares of the square root of the mask's area."""

MAX_ROUNDS = 4
"""Most rounds over all vertices with one step."""

MAX_SURPLUS = 0.5
"""An outline with a larger share of surplus vertices stays as it is: it would not get by with so few."""


def with_fewer_vertices(
    outline: Vertices, mask: Mask, *, size: Size, target_vertices: int, min_iou: float
) -> Vertices:
    """Return an outline with at most `target_vertices` vertices, or as few as keep the IoU with the mask.

    Again and again the vertex that costs least IoU is taken away, and the others are moved along rows and columns, one
    at a time, as long as that gains IoU and the least is not reached (coordinate ascent).

    Args:
        outline: N x 2 (x, y) in the continuous pixel frame; one loop that encloses the mask with at least `min_iou`.
        mask: what it encloses; not empty.
        size: of the image, which no vertex leaves.
        target_vertices: number of vertices at which nothing more is taken away; at least 3.
        min_iou: least IoU of the rasterised outline and the mask, in [0, 1].
    """
    if len(outline) > target_vertices * (1 + MAX_SURPLUS):
        return outline
    while len(outline) > target_vertices:
        shorter = max(
            (np.delete(outline, vertex, axis=0) for vertex in range(len(outline))),
            key=lambda each: _iou(each, mask, size=size),
        )
        moved, iou = _moved(shorter, mask, size=size, min_iou=min_iou)
        if iou < min_iou:
            break
        outline = moved
    return outline


def _moved(outline: Vertices, mask: Mask, *, size: Size, min_iou: float) -> tuple[Vertices, float]:
    """Move the vertices, none of them out of the image, until the IoU is reached or grows no more; return it."""
    corner = (size.width, size.height)
    best = _iou(outline, mask, size=size)
    for share in STEPS:
        step = share * mask.area**0.5
        moves = step * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        for _ in range(MAX_ROUNDS):
            before = best
            for vertex in range(len(outline)):
                for move in moves:
                    candidate = outline.copy()
                    candidate[vertex] = np.clip(candidate[vertex] + move, 0, corner)
                    iou = _iou(candidate, mask, size=size)
                    if iou > best:
                        best, outline = iou, candidate
            if best >= min_iou:
                return outline, best
            if best == before:
                break
    return outline, best


def _iou(outline: Vertices, mask: Mask, *, size: Size) -> float:
    drawn = polygon_mask(outline, size=size)
    return drawn.iou(mask) if drawn is not None else 0.0
