"""The outline of a mask along the edges of its pixels, so that painting the polygon gives the mask back."""

from __future__ import annotations

import numpy as np

from mammo.masks.mask import Mask

Corner = tuple[int, int]
TURNS = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""Up, right, down, left, as (dx, dy)."""


def edge_polygons(mask: Mask) -> list[list[int]]:
    """Closed outlines as flat lists x, y, x, y ... of pixel corners, clockwise on the screen; holes are left out.

    COCO's polygons know no holes: a mask with one comes back with the hole filled.
    """
    return [
        [value for corner in loop for value in corner] for loop in edge_loops(mask) if signed_area(loop) > 0
    ]


def edge_loops(mask: Mask) -> list[list[Corner]]:
    """Every closed outline as pixel corners in the image frame: around parts clockwise, around holes the other way."""
    padded = np.pad(mask.bitmap, 1)
    inside = padded[1:-1, 1:-1]
    starts: dict[Corner, list[int]] = {}
    # an edge has its pixel on the right-hand side: the top edge runs right, the right one down ...
    for direction, (missing, dx, dy) in {
        1: (~padded[:-2, 1:-1], 0, 0),
        2: (~padded[1:-1, 2:], 1, 0),
        3: (~padded[2:, 1:-1], 1, 1),
        0: (~padded[1:-1, :-2], 0, 1),
    }.items():
        for y, x in np.argwhere(inside & missing):
            starts.setdefault((int(x) + dx, int(y) + dy), []).append(direction)
    loops = []
    while starts:
        loops.append([(x + mask.x0, y + mask.y0) for x, y in _loop(starts)])
    return loops


def _loop(starts: dict[Corner, list[int]]) -> list[Corner]:
    """Take one closed outline out of the edges; its corners where it turns."""
    first = corner = next(iter(starts))
    corners: list[Corner] = []
    previous = -1
    while True:
        options = starts[corner]
        # where two pixels touch at a corner only, a right turn keeps each in its own outline
        right = (previous + 1) % 4
        direction = right if previous >= 0 and right in options else options[0]
        options.remove(direction)
        if not options:
            del starts[corner]
        if direction != previous:
            corners.append(corner)
        previous = direction
        corner = (corner[0] + TURNS[direction][0], corner[1] + TURNS[direction][1])
        if corner == first and (previous + 1) % 4 not in starts.get(first, ()):
            return corners


def signed_area(corners: list[Corner]) -> float:
    """Of a closed outline, in pixels; positive when it runs clockwise on the screen."""
    x, y = np.array(corners, np.float64).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
