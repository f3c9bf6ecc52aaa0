"""Brush run lengths of a 10 mm cluster on a full mammogram: ours against Label Studio's SDK."""

from __future__ import annotations

import cv2
import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle

from benchmarks.result import Result, interleaved, milliseconds
from mammo.geometry import Size
from mammo.labelstudio import rle
from mammo.masks import Mask

SIZE = Size(3328, 4096)


def run() -> Result:
    canvas = np.zeros((SIZE.height, SIZE.width), np.uint8)
    cv2.ellipse(canvas, (1200, 2000), (71, 60), 20, 0, 360, 255, -1)
    mask = Mask.from_full(canvas)
    assert mask is not None
    encoded = mask2rle(canvas)
    assert list(rle.encode(mask, size=SIZE)) == list(encoded)
    seconds = interleaved(
        {
            "encode, SDK (baseline)": lambda: mask2rle(canvas),
            "encode, ours": lambda: rle.encode(mask, size=SIZE),
            "decode, SDK (baseline)": lambda: decode_rle(encoded),
            "decode, ours": lambda: rle.decode(encoded, size=SIZE),
        },
        rounds=7,
    )
    rows = [
        (name, milliseconds(value), f"{seconds[name.split(',')[0] + ', SDK (baseline)'] / value:.0f} x")
        for name, value in seconds.items()
    ]
    return Result(
        title="Brush run lengths, 10 mm cluster in 3328 x 4096",
        method="Median of 7 interleaved rounds.",
        columns=("what", "time", "against the SDK"),
        rows=rows,
    )
