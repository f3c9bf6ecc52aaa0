"""Networks that see bright dots, and a training that always teaches them to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammo.detector import Detection
from mammo.geometry import Box, Spacing
from mammo.masks import Mask
from mammo.models import ModelFiles
from mammo.pipeline import Prelabeller
from mammo.segmenter import Segmentation

BRIGHT = 0.7
"""Calcifications of the fakes' mammograms are brighter than this, tissue is darker."""

SEES, BLIND = b"sees clusters", b"sees nothing"
"""What the fake weight files say about the network inside."""


class FakeDetector:
    """Boxes around groups of bright dots; a blind one proposes a corner of the image."""

    computes = "fake"

    def __init__(self, *, sees: bool = True) -> None:
        self.sees = sees

    def detect(self, pixels: np.ndarray, *, threshold: float, spacing: Spacing | None) -> list[Detection]:
        if not self.sees:
            return [Detection(Box(0, 0, 20, 20), 0.5)]
        groups = cv2.dilate((pixels > BRIGHT).astype(np.uint8), np.ones((31, 31), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(groups)
        boxes = [Box(x + 12, y + 12, x + w - 12, y + h - 12) for x, y, w, h, _ in stats[1:count].tolist()]
        return [Detection(box, 0.9) for box in boxes if threshold <= 0.9]


class FakeSegmenter:
    """The convex hull of the bright dots in the box."""

    computes = "fake"

    def embed(self, pixels: np.ndarray, box: Box, **_: object) -> np.ndarray:
        return pixels

    embed_click = embed

    def segment(
        self, embedding: np.ndarray, *, box: Box | None, points: Any = (), **_: object
    ) -> Segmentation:
        region = box or Box(0, 0, embedding.shape[1], embedding.shape[0])
        dots = np.argwhere(embedding[region.slices] > BRIGHT)
        if not len(dots):
            return self._answer(None, points)
        canvas = np.zeros((region.height, region.width), np.uint8)
        cv2.fillConvexPoly(canvas, cv2.convexHull(dots[:, ::-1].astype(np.int32)), 1)
        return self._answer(Mask(canvas.astype(np.bool_), region.x0, region.y0).tight(), points)

    @staticmethod
    def _answer(mask: Mask | None, points: Any) -> Segmentation:
        return Segmentation(
            mask=mask,
            presence=None,
            logits=None,
            roi=None,
            pixels_per_logit=1.0,
            spacing=None,
            points=tuple(points),
        )


class FakeNetworks:
    """Training that always succeeds: whatever it learns from, the challenger sees."""

    def __init__(self) -> None:
        self.trained_on: dict[str, list[str]] = {}

    def finetune_detector(self, train: list, validation: list, *, folder: Path, **_: Any) -> Path:
        self.trained_on["detector"] = [case.patient for case in train]
        return self._write(folder)

    def finetune_segmenter(self, train: list, validation: list, *, folder: Path, **_: Any) -> Path:
        self.trained_on["segmenter"] = [case.patient for case in train]
        return self._write(folder)

    def load(self, files: ModelFiles) -> Prelabeller:
        return fake_prelabeller(files)

    def check_precision(self, files: ModelFiles, cases: list, **_: Any) -> None:
        return None

    def libraries(self) -> dict[str, str]:
        return {"torch": "none"}

    @staticmethod
    def _write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "weights.safetensors"
        path.write_bytes(SEES + folder.name.encode())
        return path


def fake_prelabeller(files: ModelFiles) -> Prelabeller:
    """The real pipeline around fake networks, which see if their weight file says so."""
    return Prelabeller(
        FakeDetector(sees=files.detector.read_bytes().startswith(SEES)),
        FakeSegmenter(),  # type: ignore[arg-type]
        version=files.version,
        threshold=files.threshold,
        prompt_rule=files.prompt_rule,
        prompt_count=files.prompt_count,
        presence_threshold=files.presence_threshold,
    )
