"""Hand-written fakes of the networks' output, so that these tests need no torch."""

from dataclasses import dataclass

import numpy as np

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.masks import Mask


@dataclass(frozen=True)
class Found:
    """Has the fields of `mammo.detector.Detection`."""

    box: Box
    score: float


def at(x, y, score, *, side=4):
    """A detection whose centre is (x, y)."""
    return Found(Box(x - side // 2, y - side // 2, x + side // 2, y + side // 2), score)


def square(x, y, side=10, *, score=1.0, name="", mask=True):
    """A finding that is a filled square with its corner at (x, y)."""
    pixels = Mask(np.ones((side, side), bool), x, y) if mask else None
    return Finding(label=CLUSTER, score=score, box=Box(x, y, x + side, y + side), mask=pixels, id=name)
