"""JSON answers, written by orjson: a prediction is a list of some ten thousand small numbers.

Brush streams arrive here as arrays of bytes and are written by table: every number takes three characters and a comma,
blanks in front. JSON allows the blanks, and the answer is still shorter than what `json.dumps` makes of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from starlette.responses import JSONResponse

_NUMBERS = np.frombuffer("".join(f"{number:3d}," for number in range(256)).encode(), np.uint32)


class Json(JSONResponse):
    """A JSON answer."""

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, default=_stream)


def _stream(value: Any) -> orjson.Fragment:
    """An array of bytes as a JSON list."""
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 1:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return orjson.Fragment(b"[%b]" % _NUMBERS.take(value, mode="clip").tobytes()[:-1])
