"""Polygons as masks: rasterised by pixel centres."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Size
from mammo.masks.budget import PixelBudget
from mammo.masks.mask import Mask

Vertices = npt.NDArray[np.float64]

MAX_CROSSINGS = 2**24
"""Most crossings of an outline with the rows of an image: a line from top to bottom and back, over a thousand times."""

BATCH = 2**18
"""Crossings that are computed at a time."""


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
