"""KnownRegions: which regions of an image were embedded, so that the next click need not embed another."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cachetools import LRUCache

from mammo.geometry import Box, Point, Size
from mammo.segmenter.roi import Level, Roi, dilated

MAX_IMAGES = 64
"""Images that are remembered; the least recently used is forgotten."""

MAX_REGIONS = 64
"""Regions that are remembered of one image."""


class KnownRegions:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: LRUCache[tuple[str, Level], LRUCache[Roi, None]] = LRUCache(MAX_IMAGES)

    def remember(self, image: str, level: Level, roi: Roi) -> None:
        """Note that a region was embedded, or was used again."""
        with self._lock:
            regions = self._images.setdefault((image, level), LRUCache(MAX_REGIONS))
            regions[roi] = None

    def answering(
        self,
        image: str,
        level: Level,
        *,
        box: Box | None,
        points: Sequence[Point],
        size: Size,
        fresh: Roi,
        prefer: Roi | None = None,
    ) -> Roi | None:
        """A region that can answer a prompt instead of a fresh one; None when there is none.

        It must hold all points. With a box it must hold the dilated box too and show it at the scale that the fresh
        region would. Of several the preferred one is taken, else the finest, else the one whose border is farthest
        from the points.

        Args:
            size: of the image.
            fresh: the region that would be embedded otherwise.
            prefer: the region of the answer that is being refined.
        """
        with self._lock:
            known = [*self._images.get((image, level), ())]
        whole = dilated(box).within(size) if box else None
        fits = [
            roi
            for roi in known
            if roi.spacing == fresh.spacing
            and all(roi.crop.contains(point) for point in points)
            and (whole is None or (roi.side == fresh.side and roi.crop.intersection(whole) == whole))
        ]
        if prefer in fits:
            return prefer
        return min(fits, key=lambda roi: (roi.side, -_distance(roi.crop, points)), default=None)


def _distance(crop: Box, points: Sequence[Point]) -> int:
    """Least distance from a point to a border of the crop."""
    return min(
        (min(p.x - crop.x0, crop.x1 - 1 - p.x, p.y - crop.y0, crop.y1 - 1 - p.y) for p in points), default=0
    )
