"""A ratio that may be undefined."""

from __future__ import annotations

import math


def ratio(part: float, whole: float) -> float:
    """`part / whole`; NaN when `whole` is 0."""
    return part / whole if whole else math.nan
