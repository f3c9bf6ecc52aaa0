"""Shapes of findings, as records and pages have them: the box, and the outlines of the mask with few points."""

from __future__ import annotations

import cv2
import numpy as np

from mammo.findings import Finding
from mammo.masks import Mask
from mammo.verdicts.record import Shape

MAX_PARTS = 24
"""Outlines of one mask that are kept, largest first."""

TOLERANCE = 0.7
"""Distance in pixels by which a kept outline may differ from the mask's."""


def shape_of(finding: Finding) -> Shape:
    """Return the box of a finding, and the outlines of its mask if it has one."""
    parts = finding.mask.components()[:MAX_PARTS] if finding.mask is not None else ()
    return Shape(corners=finding.box.as_tuple(), parts=tuple(_outline(part) for part in parts))


def _outline(part: Mask) -> tuple[tuple[int, int], ...]:
    points = np.array([(point.x, point.y) for point in part.outline()], np.int32)
    simple = cv2.approxPolyDP(points, TOLERANCE, closed=True)
    return tuple((int(x), int(y)) for x, y in simple[:, 0])
