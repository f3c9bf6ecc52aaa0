"""JSON responses, encoded by orjson because the brush RLE of a prediction has some ten thousand numbers.

Brush RLEs arrive as uint8 arrays and are encoded by table: each number takes three characters, padded with blanks, and
a comma. JSON allows the blanks, and the response is still shorter than that of `json.dumps`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from starlette.responses import JSONResponse

from mammo.lenient_json import dumps

_NUMBERS = np.frombuffer("".join(f"{number:3d}," for number in range(256)).encode(), np.uint32)


class Json(JSONResponse):
    """A JSON response."""

    def render(self, content: Any) -> bytes:
        return dumps(content, default=_encode_rle)


def _encode_rle(value: Any) -> orjson.Fragment:
    """Encode a one-dimensional uint8 array as a JSON list."""
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 1:
        raise TypeError(f"{type(value).__name__} cannot be encoded as JSON")
    return orjson.Fragment(b"[%b]" % _NUMBERS.take(value, mode="clip").tobytes()[:-1])
