"""Splits a mammogram into overlapping tiles at native resolution, and merges the boxes of the tiles.

A calcification is 2 to 8 pixels wide and would vanish in a mammogram downsampled to the network's usual input size.
Tiles overlap by at least `overlap` pixels, so a cluster up to that size lies completely in one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mammo.detector.normalise import Breast, Planes
from mammo.geometry import Box, Size

STRIDE = 32
"""Sides of a tile are multiples of this, in pixels."""

MAX_PIXELS = 64 * 2**20
"""Maximum size of a mammogram, in pixels; needs about 2 GB. Digitised film has up to about 40 million pixels."""

MIN_BREAST = 0.01
"""Minimum fraction of breast in a tile; other tiles are skipped."""

MERGE_IOS = 0.5
"""Intersection over the smaller area above which two boxes are one finding."""

_TOUCH = 4.0
"""Distance from an inner border of a tile, in pixels, within which a box may continue beyond it."""


@dataclass(frozen=True)
class Detection:
    """One detected cluster."""

    box: Box
    """Half-open pixels inside the image."""

    score: float
    """Score in (0, 1]."""


@dataclass(frozen=True)
class Candidate:
    """A box from one tile, with real-valued corners in the frame of the mammogram."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    cut: bool
    """Whether the box touches a border of its tile that is not a border of the mammogram."""

    @property
    def area(self) -> float:
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def overlap(self, other: Candidate) -> float:
        """Intersection over the smaller area, in [0, 1]."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        return width * height / max(min(self.area, other.area), 1e-9)

    def marked_as_cut(self, tile: Box, size: Size) -> Candidate:
        """Set `cut`: the candidate touches a border of its tile inside a mammogram of this size."""
        cut = (
            (tile.x0 > 0 and self.x0 < tile.x0 + _TOUCH)
            or (tile.y0 > 0 and self.y0 < tile.y0 + _TOUCH)
            or (tile.x1 < size.width and self.x1 > tile.x1 - _TOUCH)
            or (tile.y1 < size.height and self.y1 > tile.y1 - _TOUCH)
        )
        return replace(self, cut=cut)

    def union(self, other: Candidate) -> Candidate:
        """The bounding box of both, with the higher score."""
        return Candidate(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
            max(self.score, other.score),
            self.cut,
        )


def _axis(start: int, stop: int, limit: int, *, tile: int, overlap: int) -> tuple[list[int], int]:
    """Starts of evenly spaced tiles that cover [start, stop), and their length, a multiple of `STRIDE`."""
    length = stop - start
    count = 1 if length <= tile else -(-(length - overlap) // (tile - overlap))
    side = -(-(length + (count - 1) * overlap) // count)
    side = -(-side // STRIDE) * STRIDE
    latest = max(limit - side, 0)
    if count == 1:
        return [min(start, latest)], side
    step = (length - side) / (count - 1)
    return [min(max(start + round(index * step), 0), latest) for index in range(count)], side


def plan_tiles(breast: Breast, size: Size, *, tile: int, overlap: int) -> list[Box]:
    """Cover the box of the breast with as few equal tiles as possible, without tiles of air.

    Args:
        breast: its location in the mammogram.
        size: of the mammogram.
        tile: maximum side of a tile, in pixels, a multiple of 32.
        overlap: minimum overlap of neighbouring tiles, in pixels.

    Returns:
        Boxes of one size, with sides that are multiples of 32; they extend beyond the image only if it is smaller.
    """
    tops, height = _axis(breast.box.y0, breast.box.y1, size.height, tile=tile, overlap=overlap)
    lefts, width = _axis(breast.box.x0, breast.box.x1, size.width, tile=tile, overlap=overlap)
    boxes = [Box(x, y, x + width, y + height) for y in tops for x in lefts]
    return [box for box in boxes if breast.coverage(box.within(size)) >= MIN_BREAST]


def cut_tile(planes: Planes, tile: Box) -> Planes:
    """Crop 3 x H x W planes to a tile; zeros beyond the image."""
    height, width = planes.shape[1:]
    part = planes[:, *tile.within(Size(width, height)).slices]
    if part.shape[1:] == (tile.height, tile.width):
        return np.ascontiguousarray(part)
    padded = np.zeros((len(planes), tile.height, tile.width), planes.dtype)
    padded[:, : part.shape[1], : part.shape[2]] = part
    return padded


def merge(candidates: Sequence[Candidate], size: Size) -> list[Detection]:
    """Merge the candidates of all tiles into one detection per cluster.

    A complete box absorbs the cut boxes inside it. A cluster that appears in cut boxes only is larger than the overlap;
    its pieces from neighbouring tiles are united. The result does not depend on the order of the tiles.

    Args:
        candidates: in the frame of the mammogram.
        size: of the mammogram.

    Returns:
        Detections inside the mammogram, best first.
    """
    complete: list[Candidate] = []
    # Ties in score are resolved by position, as in the result.
    for candidate in sorted(
        (c for c in candidates if not c.cut), key=lambda c: (-c.score, c.x0, c.y0, c.x1, c.y1)
    ):
        if all(candidate.overlap(other) <= MERGE_IOS for other in complete):
            complete.append(candidate)
    united: list[Candidate] = []
    for candidate in (c for c in candidates if c.cut):
        if any(candidate.overlap(other) > MERGE_IOS for other in complete):
            continue
        union = candidate
        # A union may overlap pieces that neither of its parts does.
        while overlapping := [piece for piece in united if union.overlap(piece) > 0]:
            united = [piece for piece in united if piece not in overlapping]
            for piece in overlapping:
                union = union.union(piece)
        united.append(union)
    detections = [
        Detection(Box.around(c.x0, c.y0, c.x1, c.y1).within(size), c.score)
        for c in [*complete, *united]
        if c.x1 > 0 and c.y1 > 0 and c.x0 < size.width and c.y0 < size.height
    ]
    return sorted(detections, key=lambda detection: (-detection.score, detection.box.as_tuple()))
