"""Outlines of masks: polygons with few vertices, which a person can edit."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mammo.geometry import Size
from mammo.masks.fewer_vertices import with_fewer_vertices
from mammo.masks.mask import Mask, union
from mammo.masks.pixel_edges import Corner, edge_loops
from mammo.masks.polygons import Vertices, polygon_mask

FIRST_TOLERANCE = 0.15
"""Largest distance between an outline and its simplification that is tried, as a share of the square root of the
area."""

MIN_TOLERANCE = 0.1
"""Smallest tolerance that is tried, in pixels."""

NUM_TOLERANCES = 32
"""Number of tolerances, in equal ratios."""

MAX_SHIFT = 2.0
"""Farthest that a vertex moves when its sides are fitted to the outline, in tolerances."""

MIN_IOU = 0.975
"""Least IoU of a component, holes filled, and the outline that a person is to edit: with it, the outlines of clusters
have 10 to 17 vertices, which can be told apart and moved on the screen (docs/benchmarks.md)."""

TARGET_VERTICES = 16
"""Vertices of a component that a person is to edit: with more, the handles of a cluster of 7 mm touch."""

FINE_IOU = 0.995
"""Least IoU of an outline that has to agree with clicks."""


def mask_outline(
    mask: Mask, *, size: Size, min_part: float, min_iou: float, target_vertices: int | None
) -> Vertices:
    """Return one closed outline of a whole mask: N x 2 (x, y) in the continuous pixel frame of the image.

    Each further component or hole is connected to the nearest vertex by a line that runs there and back: by the
    even-odd rule it encloses nothing.

    Args:
        mask: the mask.
        size: of the image, which no vertex leaves.
        min_part: components with less than this share of the largest component's pixels are left out.
        min_iou: least IoU of each component, holes filled, and its rasterised outline. The outline through the
            midpoints of the pixel edges is simplified (Douglas and Peucker 1973) by the largest tolerance that reaches
            it, and each side is then fitted to its part of the outline by least squares, so that a simplified outline
            is as often outside the pixels as inside. A component that needs less than `MIN_TOLERANCE`, such as one of
            a few pixels, gets all corners of its pixels. 1: along the pixel edges, with holes.
        target_vertices: number of vertices of a component down to which `with_fewer_vertices` takes some away; None: it
            takes none.
    """
    components = mask.components()
    outline: Vertices = np.zeros((0, 2))
    for component in components:
        if component.area < min_part * components[0].area:
            break
        for vertices in _outlines(component, size=size, min_iou=min_iou, target_vertices=target_vertices):
            outline = _connected(outline, vertices)
    return outline


def _outlines(component: Mask, *, size: Size, min_iou: float, target_vertices: int | None) -> list[Vertices]:
    """Return one outline, or several where parts of the component touch at a corner only, or holes are kept."""
    if min_iou == 1:
        return [np.array(loop, np.float64) for loop in edge_loops(component)]
    filled = without_holes(component)
    outlines = _simplified_outlines(filled, min_iou=min_iou)
    if target_vertices is None or len(outlines) > 1:
        return outlines
    return [
        with_fewer_vertices(outlines[0], filled, size=size, target_vertices=target_vertices, min_iou=min_iou)
    ]


def without_holes(mask: Mask) -> Mask:
    """Return the mask and all pixels from which no path of edge neighbours outside it leads to its frame's border."""
    # OpenCV's flood, because scipy.ndimage takes longer to import than the first prelabel takes to outline.
    outside = np.pad(mask.bitmap.astype(np.uint8), 1)
    cv2.floodFill(outside, None, (0, 0), 2, flags=4)
    return Mask(outside[1:-1, 1:-1] != 2, mask.x0, mask.y0)


def _connected(outline: Vertices, other: Vertices) -> Vertices:
    """Insert a second closed outline at the pair of vertices that lie nearest to each other."""
    if not len(outline):
        return other
    distances = np.hypot(*np.moveaxis(outline[:, None] - other[None], -1, 0))
    here, there = np.unravel_index(int(np.argmin(distances)), distances.shape)
    detour = np.concatenate([other[there:], other[: there + 1]])
    return np.concatenate([outline[: here + 1], detour, outline[here:]])


def _simplified_outlines(component: Mask, *, min_iou: float) -> list[Vertices]:
    loops = edge_loops(component)
    paths = [_midpoints(loop) for loop in loops]
    size = Size(component.frame.x1, component.frame.y1)
    first = max(FIRST_TOLERANCE * component.area**0.5, MIN_TOLERANCE)
    tolerances = np.geomspace(MIN_TOLERANCE, first, NUM_TOLERANCES)
    found = [np.array(loop, np.float64) for loop in loops]
    low, high = 0, len(tolerances)
    while low < high:
        middle = (low + high) // 2
        outlines = [_simplified(path, float(tolerances[middle])) for path in paths]
        masks = [polygon_mask(outline, size=size) for outline in outlines]
        rasterised = union(mask for mask in masks if mask is not None)
        if rasterised is not None and rasterised.iou(component) >= min_iou:
            found, low = outlines, middle + 1
        else:
            high = middle
    return found


def _midpoints(loop: Sequence[Corner]) -> Vertices:
    """Return the midpoint of every pixel edge of an outline, N x 2."""
    corners = np.array(loop, np.float64)
    points = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = round(float(np.abs(end - start).sum()))
        points.append(start + (np.arange(length)[:, None] + 0.5) / length * (end - start))
    return np.concatenate(points)


def _simplified(vertices: Vertices, tolerance: float) -> Vertices:
    origin = vertices[0]  # OpenCV takes float32, which is most precise near zero.
    path = (vertices - origin).astype(np.float32)
    fewer = cv2.approxPolyDP(path[:, None], tolerance, closed=True)[:, 0]
    if len(fewer) < 3:
        return vertices
    position = {(float(x), float(y)): index for index, (x, y) in enumerate(path)}
    corners = sorted(position[float(x), float(y)] for x, y in fewer)
    return _fitted(vertices, corners, max_shift=MAX_SHIFT * tolerance)


def _fitted(path: Vertices, corners: Sequence[int], *, max_shift: float) -> Vertices:
    """Fit a line to each part of a closed path between two corners, and return where neighbouring lines meet.

    A corner stays where it is if its lines are nearly parallel, or meet farther than `max_shift` from it. None leaves
    the frame of the path, which may be the image's edge.
    """
    closed = np.concatenate([path, path])
    ends = [*corners[1:], corners[0] + len(path)]
    centres, directions = [], []
    for start, end in zip(corners, ends, strict=True):
        part = closed[start : end + 1]
        centres.append(part.mean(axis=0))
        directions.append(np.linalg.svd(part - centres[-1], full_matrices=False)[2][0])
    fitted = path[list(corners)].copy()
    for index, corner in enumerate(corners):
        # centre + a * direction of the side before meets that of the side after.
        sides = np.stack([directions[index - 1], -directions[index]], axis=1)
        if abs(np.linalg.det(sides)) < 0.1:
            continue
        a, _ = np.linalg.solve(sides, centres[index] - centres[index - 1])
        meeting = centres[index - 1] + a * directions[index - 1]
        if np.hypot(*(meeting - path[corner])) <= max_shift:
            fitted[index] = meeting
    clipped: Vertices = np.clip(fitted, path.min(axis=0), path.max(axis=0))
    return clipped
