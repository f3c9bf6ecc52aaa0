"""The baseline of a click: a server that reads and encodes the whole image every time, as the SAM2 example does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np
from label_studio_sdk.converter.brush import mask2rle
from PIL import Image

from mammo.geometry import Box, Point, Spacing
from mammo.segmenter import Segmenter


class Reencoding:
    """An ASGI application without a framework, which caches nothing between clicks."""

    def __init__(self, segmenter: Segmenter, png: Path) -> None:
        """
        Args:
            segmenter: without a cache.
            png: the image of every task.
        """
        self._segmenter = segmenter
        self._png = png

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = await anyio.to_thread.run_sync(self._predict, body) if body else b"{}"
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _predict(self, body: bytes) -> bytes:
        region = json.loads(body)["params"]["context"]["result"][-1]
        with Image.open(self._png) as image:
            pixels = np.array(image.convert("RGB"))[..., 0].astype(np.float32) / 255
        height, width = pixels.shape
        at = Point(int(region["value"]["x"] * width / 100), int(region["value"]["y"] * height / 100))
        embedding = self._segmenter.embed(
            pixels, Box(0, 0, width, height), spacing=Spacing(0.07, 0.07, "assumed")
        )
        segmentation = self._segmenter.segment(embedding, box=None, points=[at])
        full = np.zeros((height, width), np.uint8)
        if segmentation.mask is not None:
            segmentation.mask.paste(full, 255)
        value = {"format": "rle", "rle": mask2rle(full), "brushlabels": ["Cluster"]}
        return json.dumps(
            {"results": [{"result": [{**region, "type": "brushlabels", "value": value}]}]}
        ).encode()
