"""Findings for tests of two readers."""

import numpy as np

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.masks import Mask


def painted(x0, y0, x1, y1):
    """A rectangle of set pixels."""
    return Mask(np.ones((y1 - y0, x1 - x0), np.bool_), x0, y0)


def boxed(*corners):
    return Finding(label=CLUSTER, score=1.0, box=Box(*corners))


def lesion(*corners):
    """A box with all its pixels painted."""
    return Finding(label=CLUSTER, score=1.0, box=Box(*corners), mask=painted(*corners))


def point(x, y):
    """A location without an extent."""
    return Finding(label=CLUSTER, score=1.0, box=Box(x, y, x + 1, y + 1), is_point=True)
