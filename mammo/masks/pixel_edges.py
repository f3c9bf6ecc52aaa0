"""Outlines of a mask along its pixel edges: filling them gives back exactly the mask."""

from __future__ import annotations

import numpy as np

from mammo.masks.mask import Mask

Corner = tuple[int, int]
TURNS = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""Step directions up, right, down, left, as (dx, dy)."""


def edge_polygons(mask: Mask) -> list[list[int]]:
    """Return the outer outlines as COCO polygons: flat lists x, y, x, y … of pixel corners, clockwise on the screen.

    COCO polygons have no holes, so a mask with a hole comes back filled.
    """
    return [
        [value for corner in loop for value in corner] for loop in edge_loops(mask) if signed_area(loop) > 0
    ]


def single_outline(mask: Mask) -> list[Corner]:
    """Return one closed outline of a whole mask, with its holes and separate parts; its last corner is its first.

    Further outlines are joined to the first by bridges of no width along the pixel edges. Filling the outline by the
    even-odd rule gives back exactly the mask, because a bridge is crossed twice.
    """
    first, *others = edge_loops(mask)
    start = first[0]
    corners = [*first, start]
    for loop in others:
        turn = (loop[0][0], start[1])
        corners += [turn, *loop, loop[0], turn, start]
    return corners


def edge_loops(mask: Mask) -> list[list[Corner]]:
    """Return all closed outlines as pixel corners in the image frame: components clockwise, holes counter-clockwise."""
    padded = np.pad(mask.bitmap, 1)
    inside = padded[1:-1, 1:-1]
    starts: dict[Corner, list[int]] = {}
    # Every edge has its pixel on the right-hand side: the top edge runs right, the right edge down, and so on.
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
    """Remove one closed outline from the edges and return the corners at which it turns.

    Args:
        starts: directions of the edges not yet used, by the corner at which they start; changed in place.
    """
    first = corner = next(iter(starts))
    corners: list[Corner] = []
    previous = -1
    while True:
        options = starts[corner]
        # Where two pixels touch at a corner only, turning right keeps each in its own outline.
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
    """Return the area of a closed outline, in pixels; positive when it runs clockwise on the screen."""
    x, y = np.array(corners, np.float64).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
