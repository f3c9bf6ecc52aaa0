"""Networks: the trainers and the loader behind a retrain. The only module of this package that imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mammo.detector import RuntimeName
from mammo.models import ModelFiles
from mammo.pipeline import Prelabeller
from training.cases import Case, Measure, Progress
from training.detector.finetune import finetune_detector
from training.evaluation.precision_check import PrecisionRule, check_model
from training.segmenter.finetune import finetune_segmenter
from training.segmenter.recipes import SegmenterRecipe

LIBRARIES = ("torch", "ultralytics", "segment-anything", "openvino")
"""Distributions whose versions decide what the networks compute."""


@dataclass(frozen=True)
class Networks:
    """Trains and loads the networks with the settings of a worker."""

    threads: int = 0
    """CPU threads of the networks; 0 lets torch choose."""

    runtime: RuntimeName = "auto"
    """Runtime of the networks; the gate evaluates champion and challenger with the one that serves."""

    exported: Path | None = None
    """Folder for exported networks; None: export again at every load."""

    processes: int = 1
    """Number of processes that train a segmenter together, one per GPU of the job."""

    finetune_detector = staticmethod(finetune_detector)

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
        """Call `training.segmenter.finetune.finetune_segmenter` with this worker's number of processes."""
        return finetune_segmenter(
            train,
            validation,
            start=start,
            recipe=recipe,
            folder=folder,
            detector=detector,
            processes=self.processes,
            progress=progress,
            measure=measure,
        )

    def load(self, files: ModelFiles) -> Prelabeller:
        return Prelabeller.load(files, threads=self.threads, runtime=self.runtime, exported=self.exported)

    def check_precision(
        self, files: ModelFiles, cases: Sequence[Case], *, progress: Progress
    ) -> dict[str, Any] | None:
        """Return the detail of a precision note; None where this worker's runtime never computes in bfloat16."""
        if self.runtime != "auto":
            return None
        check = check_model(
            files,
            cases,
            threads=self.threads,
            exported=self.exported,
            rule=PrecisionRule(),
            progress=progress,
        )
        return check.to_json() if check else None

    def libraries(self) -> dict[str, str]:
        """Installed version of each of `LIBRARIES`."""
        return {name: version(name) for name in LIBRARIES}
