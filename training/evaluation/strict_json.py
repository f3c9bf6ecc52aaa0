"""Conversion to strict JSON values, which have neither NaN nor tuples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def to_strict_json(value: Any) -> Any:
    """Convert keys to strings, tuples to lists, and NaN and infinity to null, at every depth."""
    if isinstance(value, Mapping):
        return {str(key): to_strict_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_strict_json(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
