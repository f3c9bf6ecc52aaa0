"""Two positive and two normal images with made-up detections, of which every figure can be counted by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mammo.detector import Detection
from mammo.dicom import Mammogram
from mammo.geometry import Box, Spacing
from tests.training.detections import square
from training.cases import Case
from training.evaluation.detector import ScoredImage
from training.evaluation.image_cases import EvaluationImage, EvaluationSet
from training.evaluation.image_figures import SIZES_MM, ImageFigures, measure_images

SPACING = Spacing(0.1, 0.1, "given")


def at(x: int, y: int, score: float, *, side: int = 20) -> Detection:
    return Detection(Box(x, y, x + side, y + side), score)


def mammogram() -> Mammogram:
    pixels = np.random.default_rng(1).random((400, 300), dtype=np.float32)
    return Mammogram(
        pixels=pixels, spacing=SPACING, laterality=None, view=None, patient=None, sha256="", depth=8
    )


TRUTH = {
    "small": (square(50, 50, side=20),),  # 2 mm
    "large": (square(100, 100, side=120), square(10, 10, side=50)),  # 12 mm and 5 mm
    "clean": (),
    "marked": (),
}
FOUND = {
    "small": (at(50, 50, 0.9), at(250, 350, 0.8)),
    "large": (at(100, 100, 0.6, side=60), at(20, 20, 0.3)),
    "clean": (),
    "marked": (at(30, 30, 0.7), at(90, 90, 0.2), at(150, 150, 0.1)),
}
BREAST_CM2 = {"small": 40.0, "large": 60.0, "clean": 80.0, "marked": 20.0}


def evaluated(*names: str, on_normals: bool) -> EvaluationSet:
    images = tuple(
        EvaluationImage(
            name=f"{name}.png",
            case=Case(image=name, patient=f"of {name}", read=mammogram, truth=TRUTH[name]),
            spacing=SPACING,
            breast_cm2=BREAST_CM2[name],
        )
        for name in names
    )
    return EvaluationSet(images=images, left_out=(), on_normals=on_normals)


def scored(*names: str) -> list[ScoredImage]:
    return [
        ScoredImage(
            image=name,
            patient=f"of {name}",
            truth=tuple(finding.box for finding in TRUTH[name]),
            uncertain=(),
            detections=FOUND[name],
            seconds=1.5,
        )
        for name in names
    ]


def measured(
    *names: str, threshold: float = 0.5, on_normals: bool = True, sizes_mm: Sequence[float] = SIZES_MM
) -> ImageFigures:
    images = evaluated(*names, on_normals=on_normals)
    return measure_images(scored(*names), images, threshold=threshold, draws=200, seed=0, sizes_mm=sizes_mm)


ALL = ("small", "large", "clean", "marked")
