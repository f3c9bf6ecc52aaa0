"""JSON answers, written by orjson: a prediction is a list of some ten thousand small numbers."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import JSONResponse


class Json(JSONResponse):
    """A JSON answer."""

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
