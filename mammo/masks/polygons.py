"""Conversion between polygons and masks: rasterised by pixel centres, vectorised with few vertices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Size
from mammo.masks.budget import PixelBudget
from mammo.masks.mask import Mask, union
from mammo.masks.pixel_edges import Corner, edge_loops

Vertices = npt.NDArray[np.float64]

FIRST_TOLERANCE = 0.15
"""Largest distance between an outline and its simplification that is tried, as a share of the square root of the
area."""

LEAST_TOLERANCE = 0.1
"""Smallest tolerance that is tried, in pixels."""

NUM_TOLERANCES = 32
"""Number of tolerances, in equal ratios."""

MAX_SHIFT = 2.0
"""Farthest that a vertex moves when its sides are fitted to the outline, in tolerances."""

MAX_CROSSINGS = 2**24
"""Most crossings of an outline with the rows of an image: a line from top to bottom and back, over a thousand times."""

BATCH = 2**18
"""Crossings that are computed at a time."""

MIN_IOU = 0.975
"""Least IoU of a component, holes filled, and the outline that a person is to edit: with it, the outlines of clusters
have 7 to 16 vertices, which can be told apart and moved on the screen (docs/benchmarks.md)."""

FINE_IOU = 0.995
"""Least IoU of an outline that has to agree with clicks."""


def polygon_mask(vertices: Vertices, *, size: Size, budget: PixelBudget | None = None) -> Mask | None:
    """Rasterise a closed polygon by the even-odd rule: a pixel is set when its centre lies inside.

    Args:
        vertices: N x 2 (x, y) in the continuous pixel frame, of any winding; may cross itself and leave the image.
        size: of the image, at which the mask is clipped.
        budget: what its pixels, and its crossings with rows of pixels, are counted in.

    Returns:
        The tight mask; None when no pixel centre of the image is inside.

    Raises:
        InvalidRegion: it crosses the rows of the image more than `MAX_CROSSINGS` times, or the budget is spent.
    """
    (x0, y0), (x1, y1) = vertices.min(axis=0), vertices.max(axis=0)
    frame = Box.around(float(x0), float(y0), float(x1), float(y1)).intersection(size.box)
    if frame is None:
        return None
    following = np.roll(vertices, -1, axis=0)
    # Rows whose centres lie between the ends of an edge.
    first = np.maximum(np.ceil(np.minimum(vertices[:, 1], following[:, 1]) - 0.5), frame.y0)
    last = np.minimum(np.ceil(np.maximum(vertices[:, 1], following[:, 1]) - 0.5), frame.y1)
    counts = np.maximum(last - first, 0).astype(np.int64)
    num_crossings = int(counts.sum())
    if budget is not None:
        budget.spend(frame.area + num_crossings)
    if num_crossings > MAX_CROSSINGS:
        raise InvalidRegion(
            f"an outline crosses the rows of the image more than {MAX_CROSSINGS} times; draw it again"
        )
    # Bytes that count the crossings modulo 256, which is even: whether a count is odd is all that matters.
    crossings = np.zeros((frame.height, frame.width + 1), np.uint8)
    for edges in _batches(counts):
        edge = np.repeat(np.arange(edges.start, edges.stop), counts[edges])
        row = (
            first[edge]
            + np.arange(edge.size)
            - np.repeat(np.cumsum(counts[edges]) - counts[edges], counts[edges])
        )
        (ax, ay), (bx, by) = vertices[edge].T, following[edge].T
        x = ax + (row + 0.5 - ay) * (bx - ax) / (by - ay)
        column = np.clip(np.ceil(x - 0.5), frame.x0, frame.x1).astype(np.int64) - frame.x0
        np.add.at(crossings, (row.astype(np.int64) - frame.y0, column), np.uint8(1))
    inside = crossings[:, :-1]
    np.add.accumulate(inside, axis=1, dtype=np.uint8, out=inside)
    inside &= 1
    return Mask(inside.view(np.bool_), frame.x0, frame.y0).tight()


def _batches(counts: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Yield edges whose crossings are computed together."""
    ends = np.cumsum(counts)
    start = 0
    while start < counts.size:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BATCH, "right")))
        yield slice(start, stop)
        start = stop


def mask_outline(mask: Mask, *, min_part: float, min_iou: float) -> Vertices:
    """Return one closed outline of a whole mask: N x 2 (x, y) in the continuous pixel frame of the image.

    Each further component or hole is connected to the nearest vertex by a line that runs there and back: by the
    even-odd rule it encloses nothing.

    Args:
        mask: the mask.
        min_part: components with less than this share of the largest component's pixels are left out.
        min_iou: least IoU of each component, holes filled, and its rasterised outline. The outline through the
            midpoints of the pixel edges is simplified (Douglas and Peucker 1973) by the largest tolerance that reaches
            it, and each side is then fitted to its part of the outline by least squares, so that a simplified outline
            is as often outside the pixels as inside. A component that needs less than `LEAST_TOLERANCE`, such as one of
            a few pixels, gets all corners of its pixels. 1: along the pixel edges, with holes.
    """
    components = mask.components()
    outline: Vertices = np.zeros((0, 2))
    for component in components:
        if component.area < min_part * components[0].area:
            break
        for vertices in _outlines(component, min_iou=min_iou):
            outline = _connected(outline, vertices)
    return outline


def _outlines(component: Mask, *, min_iou: float) -> list[Vertices]:
    """Return one outline, or several where parts of the component touch at a corner only, or holes are kept."""
    if min_iou < 1:
        return _simplified_outlines(without_holes(component), min_iou=min_iou)
    return [np.array(loop, np.float64) for loop in edge_loops(component)]


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
    first = max(FIRST_TOLERANCE * component.area**0.5, LEAST_TOLERANCE)
    tolerances = np.geomspace(LEAST_TOLERANCE, first, NUM_TOLERANCES)
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
