"""Suspicious images: what several detectors call a cluster in an image that nobody has annotated.

Such an image is set aside: with a cluster in it, it would teach the detector to pass over clusters. The champion's
word alone is not enough, because its false alarms are what an adaptation is for: in a new look they reach high scores
(docs/experiments.md, 2026-12-01).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mammo.detector import Detection
from mammo.dicom import Mammogram
from mammo.geometry import Box
from training.metrics import centre_rule

MIN_SCORE = 0.5
"""Least score of a strong detection."""

StrongDetections = Callable[[Mammogram], Sequence[Detection]]
"""The strong detections of one detector in an image."""


def suspicious_boxes(mammogram: Mammogram, detectors: Sequence[StrongDetections]) -> list[Box]:
    """The places that every detector calls a cluster: boxes of the first one, in original pixels, best first.

    Args:
        detectors: at least one. Two boxes are of one place if one of them holds the other's centre.
    """
    first, *others = ([detection.box for detection in detect(mammogram)] for detect in detectors)
    return [box for box in first if all(any(_same_place(box, each) for each in boxes) for boxes in others)]


def strong(detect: StrongDetections) -> StrongDetections:
    """The detections of a detector with a score of at least `MIN_SCORE`."""
    return lambda mammogram: [each for each in detect(mammogram) if each.score >= MIN_SCORE]


def _same_place(one: Box, other: Box) -> bool:
    return centre_rule(one, other) or centre_rule(other, one)
