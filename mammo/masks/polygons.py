"""Conversion between polygons and masks: rasterised by pixel centres, vectorised with few vertices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Size
from mammo.masks.budget import PixelBudget
from mammo.masks.mask import Mask, union
from mammo.masks.pixel_edges import Corner, edge_loops

Vertices = npt.NDArray[np.float64]

SMALL = 32
"""Longest side of a small component, in pixels; `TOLERANCE_SMALL` applies up to it."""

TOLERANCE_SMALL, TOLERANCE = 0.5, 1.0
"""Maximum distance between an outline and its simplification, in pixels, for small and for larger components."""

MAX_CROSSINGS = 2**24
"""Most crossings of an outline with the rows of an image: a line from top to bottom and back, over a thousand times."""

BATCH = 2**18
"""Crossings that are computed at a time."""

MIN_IOU = 0.98
"""Least IoU of a component, holes filled, and its rasterised outline."""


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


def mask_outline(mask: Mask, *, min_part: float, exact: bool) -> Vertices:
    """Return one closed outline of a whole mask: N x 2 (x, y) in the continuous pixel frame of the image.

    Each further component or hole is connected to the nearest vertex by a line that runs there and back: by the
    even-odd rule it encloses nothing.

    Args:
        mask: the mask.
        min_part: components with less than this share of the largest component's pixels are left out.
        exact: along the pixel edges, with holes; otherwise holes are filled, and the outline through the midpoints of
            the pixel edges is simplified (Douglas and Peucker 1973) by at most `TOLERANCE_SMALL` or `TOLERANCE`. The
            tolerance is halved until the rasterised outline of each component reaches an IoU of `MIN_IOU` with it.
    """
    components = mask.components()
    outline: Vertices = np.zeros((0, 2))
    for component in components:
        if component.area < min_part * components[0].area:
            break
        for vertices in _outlines(component, exact=exact):
            outline = _connected(outline, vertices)
    return outline


def _outlines(component: Mask, *, exact: bool) -> list[Vertices]:
    """Return one outline, or several where parts of the component touch at a corner only, or holes are kept."""
    if not exact:
        return _simplified_outlines(
            Mask(ndimage.binary_fill_holes(component.bitmap), component.x0, component.y0)
        )
    return [np.array(loop, np.float64) for loop in edge_loops(component)]


def _connected(outline: Vertices, other: Vertices) -> Vertices:
    """Insert a second closed outline at the pair of vertices that lie nearest to each other."""
    if not len(outline):
        return other
    distances = np.hypot(*np.moveaxis(outline[:, None] - other[None], -1, 0))
    here, there = np.unravel_index(int(np.argmin(distances)), distances.shape)
    detour = np.concatenate([other[there:], other[: there + 1]])
    return np.concatenate([outline[: here + 1], detour, outline[here:]])


def _simplified_outlines(component: Mask) -> list[Vertices]:
    loops = edge_loops(component)
    size = Size(component.frame.x1, component.frame.y1)
    tolerance = TOLERANCE_SMALL if max(component.bitmap.shape) <= SMALL else TOLERANCE
    while tolerance > 0.1:
        outlines = [_simplified(_midpoints(loop), tolerance) for loop in loops]
        masks = [polygon_mask(outline, size=size) for outline in outlines]
        rasterised = union(mask for mask in masks if mask is not None)
        if rasterised is not None and rasterised.iou(component) >= MIN_IOU:
            return outlines
        tolerance /= 2
    return [np.array(loop, np.float64) for loop in loops]


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
    fewer = cv2.approxPolyDP((vertices - origin).astype(np.float32)[:, None], tolerance, closed=True)[:, 0]
    return fewer.astype(np.float64) + origin if len(fewer) >= 3 else vertices
