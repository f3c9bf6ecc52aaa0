"""How near the detector comes to its limits per tile, on real mammograms and phantoms: see `mammo.detector.decode`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor

from benchmarks.result import Result
from mammo.detector import Detector, runtime_openvino
from mammo.detector.decode import MAX_ANCHORS, MAX_PER_TILE, decode_anchors
from mammo.geometry import Spacing
from mammo.models.registry import STARTER
from mammo.phantom import phantom_view
from mammo.pixels import Pixels
from mammo.site import Site
from training.evaluation.model_version import LOW_THRESHOLD

THRESHOLDS = (LOW_THRESHOLD, 0.05, 0.1, 0.2)
VIEWS = 12

Images = Iterator[tuple[Pixels, Spacing | None]]


class Counter:
    """Counts, per tile and threshold, the anchors and the boxes that `decode_anchors` has."""

    def __init__(self) -> None:
        self.tiles: list[list[tuple[int, int]]] = []

    def __call__(self, logits: Tensor, distributions: Any, **options: Any) -> Tensor:
        boxes = decode_anchors(logits, distributions, **options)
        self.tiles.append(
            [
                (int((logits >= math.log(each / (1 - each))).sum()), int((boxes[:, 4] >= each).sum()))
                for each in THRESHOLDS
            ]
        )
        return boxes


def run() -> Result:
    detector = Detector.load(STARTER / "detector.safetensors", runtime="openvino")
    groups: dict[str, Images] = {
        f"real: {each.name}": _real(each.name) for each in Site.load().backgrounds.sets() if each.backgrounds
    }
    groups["phantoms of vendor_a, three clusters"] = _phantoms()
    rows = [_row(name, images, detector) for name, images in groups.items()]
    return Result(
        title="Detector, its limits per tile",
        method="Anchors / boxes of the fullest tile with at least the score of the column; the limits are "
        f"{MAX_ANCHORS} and {MAX_PER_TILE}. Real images are those of the background sets added here;",
        columns=("images", "number", "tiles", *(f"at {each:g}" for each in THRESHOLDS)),
        rows=rows,
    )


def _row(name: str, images: Iterable[tuple[Pixels, Spacing | None]], detector: Detector) -> tuple[str, ...]:
    counter = Counter()
    number = 0
    with patch.object(runtime_openvino, "decode_anchors", counter):
        for pixels, spacing in images:
            detector.detect(pixels, threshold=LOW_THRESHOLD, spacing=spacing)
            number += 1
    fullest = np.array(counter.tiles).max(axis=0)
    return name, str(number), str(len(counter.tiles)), *(f"{a} / {b}" for a, b in fullest.tolist())


def _real(name: str) -> Images:
    for each in Site.load().backgrounds.get(name).backgrounds:
        mammogram = each.read()
        yield mammogram.pixels, mammogram.spacing


def _phantoms() -> Images:
    for number in range(VIEWS):
        view = phantom_view(930_000 + number, clusters=3)
        yield view.stored.astype(np.float32) / np.float32(2**view.bits - 1), None
