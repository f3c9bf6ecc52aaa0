"""Pieces: trainings and predictions that are made once and shared by all arms that need the same.

A piece is named by the hash of all that it depends on: the weights it starts from, the recipe, and the images with
their labels; or the weights and the image. So a stopped simulation continues, and an arm whose annotations are those
of another one trains nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mammo.atomic_files import replacing
from mammo.blobs import hash_file
from mammo.detector import Detection
from mammo.dicom import Mammogram
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Point
from mammo.masks import Mask
from mammo.models import ModelFiles
from mammo.pipeline import Prelabeller
from training.cases import Case, Measure, Progress, unmeasured
from training.detector.finetune import finetune_detector
from training.detector.recipes import DetectorRecipe
from training.evaluation.model_version import LOW_THRESHOLD
from training.retrain.networks import Networks
from training.segmenter.finetune import finetune_segmenter
from training.segmenter.recipes import SegmenterRecipe


@dataclass(frozen=True)
class SharedNetworks(Networks):
    """The networks of a retrain, whose results are shared in a folder."""

    threads: int = 1
    runtime: Any = "torch"
    pieces: Path = Path()
    """Folder of the pieces."""

    def finetune_detector(
        self,
        train: Sequence[Case],
        validation: Sequence[Case],
        *,
        start: Path | None,
        recipe: DetectorRecipe,
        folder: Path,
        progress: Progress,
        measure: Measure = unmeasured,
    ) -> Path:
        """Train a detector, or return the one that was trained from the same; `folder` is not used."""
        name = _name("detector", recipe, [start], train, validation)
        return finetune_detector(
            train,
            validation,
            start=start,
            recipe=recipe,
            folder=self.pieces / name,
            progress=progress,
            measure=measure,
        )

    def finetune_segmenter(
        self,
        train: Sequence[Case],
        validation: Sequence[Case],
        *,
        start: Path | None,
        recipe: SegmenterRecipe,
        folder: Path,
        detector: Path | None,
        progress: Progress,
        measure: Measure,
    ) -> Path:
        """Train a segmenter, or return the one that was trained from the same; `folder` is not used."""
        name = _name("segmenter", recipe, [start, detector], train, validation)
        return finetune_segmenter(
            train,
            validation,
            start=start,
            recipe=recipe,
            folder=self.pieces / name,
            detector=detector,
            progress=progress,
            measure=measure,
        )

    def load(self, files: ModelFiles) -> Prelabeller:
        return RememberingPrelabeller(files, self, folder=self.pieces / "predictions")


class RememberingPrelabeller(Prelabeller):
    """A prelabeller that predicts an image once; its networks are loaded when they are first needed."""

    def __init__(self, files: ModelFiles, networks: SharedNetworks, *, folder: Path) -> None:
        """
        Args:
            folder: receives one JSON file per prediction.
        """
        self.version = files.version
        self.threshold = files.threshold
        self._files, self._networks, self._folder = files, networks, folder
        self._detector_hash, self._segmenter_hash = hash_file(files.detector), hash_file(files.segmenter)

    @cached_property
    def _loaded(self) -> Prelabeller:
        return super(SharedNetworks, self._networks).load(self._files)

    @property
    def runtimes(self) -> dict[str, str]:
        return {"detector": "torch", "segmenter": "torch"}

    def detect(self, mammogram: Mammogram, *, threshold: float | None) -> list[Detection]:
        def compute() -> list[list[float]]:
            found = self._loaded.detect(mammogram, threshold=LOW_THRESHOLD)
            return [[*each.box.as_tuple(), each.score] for each in found]

        stored = self._remembered(["detect", self._detector_hash, mammogram.sha256], compute)
        least = self.threshold if threshold is None else threshold
        return [
            Detection(Box(*(int(side) for side in box)), score) for *box, score in stored if score >= least
        ]

    def prelabel(
        self,
        mammogram: Mammogram,
        *,
        threshold: float | None,
        detections: Sequence[Detection] | None = None,
    ) -> ImageFindings:
        """See `Prelabeller.prelabel`; `detections` are those that `detect` remembers."""
        files = self._files
        least = self.threshold if threshold is None else threshold

        def compute() -> dict[str, Any]:
            detected = self.detect(mammogram, threshold=least)
            found = self._loaded.prelabel(mammogram, threshold=least, detections=detected)
            return {
                "num_cut": found.num_cut,
                "findings": [
                    {
                        "score": each.score,
                        "box": each.box.as_tuple(),
                        "mask": each.mask and each.mask.to_coco(mammogram.size),
                        "id": each.id,
                        "presence": each.presence,
                    }
                    for each in found.findings
                ],
            }

        point = [least, files.presence_threshold, files.prompt_rule, files.prompt_count]
        key = ["prelabel", self._detector_hash, self._segmenter_hash, *point, mammogram.sha256]
        stored = self._remembered(key, compute)
        findings = [
            Finding(
                label=CLUSTER,
                score=each["score"],
                box=Box(*each["box"]),
                mask=Mask.from_coco(each["mask"]) if each["mask"] else None,
                id=each["id"],
                presence=each["presence"],
            )
            for each in stored["findings"]
        ]
        return ImageFindings(findings=tuple(findings), num_cut=stored["num_cut"])

    def click(self, mammogram: Mammogram, point: Point) -> Mask | None:
        """Return the lesion at a click; see `Prelabeller.answer`."""

        def compute() -> dict[str, Any] | None:
            mask = self._loaded.answer(mammogram, None, [point], []).mask
            return None if mask is None else mask.to_coco(mammogram.size)

        key = ["click", self._segmenter_hash, mammogram.sha256, point.x, point.y]
        stored = self._remembered(key, compute)
        return Mask.from_coco(stored) if stored else None

    def _remembered(self, key: Sequence[Any], compute: Any) -> Any:
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        path = self._folder / digest[:2] / f"{digest}.json"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps(compute())
            with replacing(path, shared=True) as part:
                part.write_text(content)
        return json.loads(path.read_text())


def _name(network: str, recipe: Any, weights: Sequence[Path | None], *cases: Sequence[Case]) -> str:
    """Return the name of a training."""
    content = {
        "recipe": asdict(recipe),
        "weights": [path and hash_file(path) for path in weights],
        "cases": [[_labelled(case) for case in each] for each in cases],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    return f"{network}-{digest[:24]}"


def _labelled(case: Case) -> list[Any]:
    """Return an image and its labels as JSON values."""
    pixels = [
        (each.box.as_tuple(), each.mask and hashlib.sha256(each.mask.bitmap.tobytes()).hexdigest())
        for each in case.truth
    ]
    return [case.image, pixels, [box.as_tuple() for box in case.uncertain]]
