"""EmbeddedRegions: the regions of each image that were embedded, so that later clicks can reuse them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cachetools import LRUCache

from mammo.geometry import Box, Point, Size
from mammo.segmenter.roi import Level, Roi, dilated

MAX_IMAGES = 64
"""Maximum number of images; the least recently used is dropped."""

MAX_REGIONS = 64
"""Maximum number of regions per image; the least recently used is dropped."""


class EmbeddedRegions:
    """An index of regions by image and level. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: LRUCache[tuple[str, Level], LRUCache[Roi, None]] = LRUCache(MAX_IMAGES)

    def add(self, image: str, level: Level, roi: Roi) -> None:
        """Record that a region was embedded or reused."""
        with self._lock:
            regions = self._images.setdefault((image, level), LRUCache(MAX_REGIONS))
            regions[roi] = None

    def find_reusable(
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
        """Find a region that can be reused for a prompt in place of a fresh one; None when there is none.

        It must contain all points. With a box it must also contain the dilated box, at the scale of the fresh region.
        Of several regions the preferred one is returned, else the one with the finest scale, else the one whose border
        is farthest from the points.

        Args:
            image: SHA-256 of the image.
            level: of the region.
            box: the box of the prompt, if there is one.
            points: all clicks, positive and negative.
            size: of the image.
            fresh: the region that would be embedded otherwise.
            prefer: the region of the answer that is being refined.
        """
        with self._lock:
            regions = [*self._images.get((image, level), ())]
        prompt_box = dilated(box).within(size) if box else None
        candidates = [
            roi
            for roi in regions
            if roi.spacing == fresh.spacing
            and all(roi.crop.contains(point) for point in points)
            and (
                prompt_box is None
                or (roi.side == fresh.side and roi.crop.intersection(prompt_box) == prompt_box)
            )
        ]
        if prefer in candidates:
            return prefer
        return min(candidates, key=lambda roi: (roi.side, -_distance(roi.crop, points)), default=None)


def _distance(crop: Box, points: Sequence[Point]) -> int:
    """Minimum distance from a point to the border of the crop, in pixels."""
    return min(
        (min(p.x - crop.x0, crop.x1 - 1 - p.x, p.y - crop.y0, crop.y1 - 1 - p.y) for p in points), default=0
    )
