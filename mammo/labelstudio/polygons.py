"""A drawn outline becomes the mask of the pixels whose centres it encloses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Size
from mammo.masks import Mask

Vertices = npt.NDArray[np.float64]


def polygon_mask(vertices: Vertices, *, size: Size) -> Mask | None:
    """Fill a closed polygon by the even-odd rule.

    Args:
        vertices: N x 2 (x, y), continuous pixel frame, any winding; may cross itself and leave the image.
        size: of the image; what lies outside is cut off.

    Returns:
        The tight mask; None when no pixel centre of the image is inside.
    """
    (x0, y0), (x1, y1) = vertices.min(axis=0), vertices.max(axis=0)
    frame = Box.around(float(x0), float(y0), float(x1), float(y1)).intersection(size.box)
    if frame is None:
        return None
    crossings = np.zeros((frame.height, frame.width + 1), np.int32)
    for (ax, ay), (bx, by) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        first, last = np.ceil(np.array([min(ay, by), max(ay, by)]) - 0.5)
        rows = np.arange(max(first, frame.y0), min(last, frame.y1))  # their centres lie between a and b
        if not rows.size:
            continue
        x = ax + (rows + 0.5 - ay) * (bx - ax) / (by - ay)
        columns = np.clip(np.ceil(x - 0.5), frame.x0, frame.x1).astype(np.int64) - frame.x0
        crossings[rows.astype(np.int64) - frame.y0, columns] += 1
    inside = np.cumsum(crossings[:, :-1], axis=1) % 2 == 1
    return Mask(inside, frame.x0, frame.y0).tight()
