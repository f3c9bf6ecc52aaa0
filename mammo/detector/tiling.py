"""A mammogram is cut into overlapping tiles at native resolution, and what they find is put together again.

A calcification is 2 to 8 pixels wide: a mammogram shrunk to the network's size loses it. Tiles share `overlap`
pixels, so a cluster up to that size is seen whole by one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mammo.detector.normalise import Breast, Planes
from mammo.geometry import Box, Size

STRIDE = 32
"""Sides of a tile are multiples of this."""

MAX_PIXELS = 64 * 2**20
"""Largest mammogram; about 2 GB of working memory. Digitised film reaches about 40 million pixels."""

MIN_BREAST = 0.01
"""Tiles with less breast than this share are air and skipped."""

MERGE_IOS = 0.5
"""Two boxes are one finding when they share this part of the smaller one."""

_TOUCH = 4.0
"""A box this close to the inner border of a tile may go on beyond it, in pixels."""


@dataclass(frozen=True)
class Detection:
    """A cluster the detector believes in."""

    box: Box
    """Half-open pixels inside the image."""

    score: float
    """Confidence in (0, 1]."""


@dataclass(frozen=True)
class Candidate:
    """A box from one tile, in the frame of the mammogram, with real corners."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    cut: bool
    """It touches a border beyond which the mammogram goes on."""

    @property
    def area(self) -> float:
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def overlap(self, other: Candidate) -> float:
        """Common area over the smaller of the two areas, in [0, 1]."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        return width * height / max(min(self.area, other.area), 1e-9)

    def touching(self, tile: Box, size: Size) -> Candidate:
        """The same candidate, marked as cut where it touches a border of its tile inside the mammogram."""
        cut = (
            (tile.x0 > 0 and self.x0 < tile.x0 + _TOUCH)
            or (tile.y0 > 0 and self.y0 < tile.y0 + _TOUCH)
            or (tile.x1 < size.width and self.x1 > tile.x1 - _TOUCH)
            or (tile.y1 < size.height and self.y1 > tile.y1 - _TOUCH)
        )
        return replace(self, cut=cut)

    def union(self, other: Candidate) -> Candidate:
        return Candidate(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
            max(self.score, other.score),
            self.cut,
        )


def _axis(start: int, stop: int, limit: int, *, tile: int, overlap: int) -> tuple[list[int], int]:
    """Starts of evenly spread tiles that cover [start, stop), and their common length (a multiple of STRIDE)."""
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
    """Cover the breast with as few equal tiles as its box needs, air left out.

    Args:
        size: of the mammogram.
        tile: largest side, in pixels, a multiple of 32.
        overlap: least overlap of two neighbours, in pixels.

    Returns:
        Boxes of one size whose sides are multiples of 32; they leave the image only where it is smaller than one.
    """
    tops, height = _axis(breast.box.y0, breast.box.y1, size.height, tile=tile, overlap=overlap)
    lefts, width = _axis(breast.box.x0, breast.box.x1, size.width, tile=tile, overlap=overlap)
    boxes = [Box(x, y, x + width, y + height) for y in tops for x in lefts]
    return [box for box in boxes if breast.share(box.within(size)) >= MIN_BREAST]


def cut_tile(planes: Planes, tile: Box) -> Planes:
    """The part of 3 x H x W planes under a tile; zeros where it sticks out of a small image."""
    height, width = planes.shape[1:]
    part = planes[:, *tile.within(Size(width, height)).slices]
    if part.shape[1:] == (tile.height, tile.width):
        return np.ascontiguousarray(part)
    padded = np.zeros((len(planes), tile.height, tile.width), planes.dtype)
    padded[:, : part.shape[1], : part.shape[2]] = part
    return padded


def merge(candidates: Sequence[Candidate], size: Size) -> list[Detection]:
    """Make one detection of all candidates that mean the same cluster, best first.

    Whole boxes absorb the cut ones that lie in them. What only cut boxes saw is larger than the overlap: there the
    pieces of neighbouring tiles are united. In which order tiles were looked at changes nothing.
    """
    kept: list[Candidate] = []
    # Of two with the same score the place decides, as it does in the result.
    for candidate in sorted(
        (c for c in candidates if not c.cut), key=lambda c: (-c.score, c.x0, c.y0, c.x1, c.y1)
    ):
        if all(candidate.overlap(other) <= MERGE_IOS for other in kept):
            kept.append(candidate)
    pieces: list[Candidate] = []
    for candidate in (c for c in candidates if c.cut):
        if any(candidate.overlap(other) > MERGE_IOS for other in kept):
            continue
        joined = candidate
        # A union may reach pieces that neither of its parts did.
        while meeting := [piece for piece in pieces if joined.overlap(piece) > 0]:
            pieces = [piece for piece in pieces if piece not in meeting]
            for piece in meeting:
                joined = joined.union(piece)
        pieces.append(joined)
    found = [
        Detection(Box.around(c.x0, c.y0, c.x1, c.y1).within(size), c.score)
        for c in [*kept, *pieces]
        if c.x1 > 0 and c.y1 > 0 and c.x0 < size.width and c.y0 < size.height
    ]
    return sorted(found, key=lambda detection: (-detection.score, detection.box.as_tuple()))
