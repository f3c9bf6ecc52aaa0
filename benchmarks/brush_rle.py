"""Brush RLE of a 10 mm cluster on a full mammogram: ours against Label Studio's SDK."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter.brush import decode_rle, mask2rle

from benchmarks.result import Result, interleaved, milliseconds
from mammo.geometry import Size
from mammo.labelstudio import rle
from mammo.masks import Mask

SIZE = Size(3328, 4096)
REPEATS = 100
"""Calls per round of our warm candidates. A cold candidate is called once, after the SDK has emptied the caches."""


def run() -> Result:
    rows: list[tuple[str, ...]] = []
    for name, canvas in (("20 calcifications in 10 mm", _calcifications()), ("an ellipse", _ellipse())):
        mask = Mask.from_full(canvas)
        assert mask is not None
        stream = mask2rle(canvas)
        assert rle.encode(mask, size=SIZE) == stream
        encode = partial(rle.encode, mask, size=SIZE)
        decode = partial(rle.decode, stream, size=SIZE)
        candidates: dict[str, tuple[Callable[[], object], int]] = {
            "encode, SDK (baseline)": (partial(mask2rle, canvas), 1),
            "encode, ours, cold": (encode, 1),
            "encode, ours": (encode, REPEATS),
            "decode, SDK and its alpha over half (baseline)": (partial(_decode_with_sdk, stream), 1),
            "decode, ours, cold": (decode, 1),
            "decode, ours": (decode, REPEATS),
        }
        turns = {key: partial(_repeated, call, count) for key, (call, count) in candidates.items()}
        seconds = interleaved(turns, rounds=15)
        each = {key: value / candidates[key][1] for key, value in seconds.items()}
        bases = {key[:6]: value for key, value in each.items() if "baseline" in key}
        rows += [
            (name, key, milliseconds(value), f"{bases[key[:6]] / value:.0f} x") for key, value in each.items()
        ]
    return Result(
        title="Brush run lengths, 10 mm cluster in 3328 x 4096",
        method=f"Median of 15 interleaved rounds; a round calls the SDK once and ours {REPEATS} times (cold: once).",
        columns=("mask", "what", "time", "against the SDK"),
        rows=rows,
    )


def _calcifications() -> npt.NDArray[np.uint8]:
    canvas = np.zeros((SIZE.height, SIZE.width), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(1100, 1240), rng.integers(1900, 2040)
        cv2.circle(canvas, (int(x), int(y)), int(rng.integers(2, 6)), 255, -1)
    return canvas


def _ellipse() -> npt.NDArray[np.uint8]:
    canvas = np.zeros((SIZE.height, SIZE.width), np.uint8)
    cv2.ellipse(canvas, (1200, 2000), (71, 60), 20, 0, 360, 255, -1)
    return canvas


def _decode_with_sdk(stream: list[int]) -> npt.NDArray[np.bool_]:
    alpha: npt.NDArray[np.bool_] = decode_rle(stream).reshape(SIZE.height, SIZE.width, 4)[:, :, 3] >= 128
    return alpha


def _repeated(call: Callable[[], object], count: int) -> None:
    for _ in range(count):
        call()
