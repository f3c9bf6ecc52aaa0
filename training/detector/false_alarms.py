"""False alarms of a detector on training images: the hard negatives of the next training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mammo.detector import Detector
from mammo.geometry import Box, Point, Spacing
from mammo.pixels import Pixels

MIN_SCORE = 0.1
"""Lowest score of a false alarm."""


class FalseAlarmMiner:
    """Finds where a detector detects a cluster and there is none."""

    def __init__(self, weights: Path, *, max_per_image: int) -> None:
        self._detector = Detector.load(weights)
        self._max_per_image = max_per_image

    def __call__(self, pixels: Pixels, taken: Sequence[Box], *, spacing: Spacing | None) -> Sequence[Box]:
        """The false alarms in an image, highest score first.

        Args:
            pixels: H x W float32 in [0, 1], of the mammogram as it was taken.
            taken: boxes of clusters, and boxes in which there may be one; a detection centred there is no false alarm.
            spacing: of the pixels.
        """
        detections = self._detector.detect(pixels, threshold=MIN_SCORE, spacing=spacing)
        centres = [(each.box, Point(*map(int, each.box.centre))) for each in detections]
        false = [box for box, centre in centres if not any(each.contains(centre) for each in taken)]
        return false[: self._max_per_image]
