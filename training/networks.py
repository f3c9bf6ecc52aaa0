"""TorchNetworks: the real networks behind a retrain. The only module of the chain that brings torch in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammo.detector import RuntimeName
from mammo.pipeline import Prelabeller
from mammo.registry import ModelFiles
from training.cases import Case, Progress
from training.detector_finetune import finetune_detector
from training.segmenter_finetune import finetune_segmenter
from training.segmenter_recipes import SegmenterRecipe


@dataclass(frozen=True)
class TorchNetworks:
    """Implements `training.retrain.Networks`."""

    threads: int = 0
    """CPU threads of the networks; 0 lets torch choose."""

    runtime: RuntimeName = "auto"
    """Of the detector; the gate judges champion and challenger with it, as they serve."""

    exported: Path | None = None
    """Folder of the detector's exported networks; None keeps none."""

    processes: int = 1
    """How many train a segmenter together, one for each GPU of the job."""

    finetune_detector = staticmethod(finetune_detector)

    def finetune_segmenter(
        self,
        train: list[Case],
        validation: list[Case],
        *,
        start: Path | None,
        recipe: SegmenterRecipe,
        folder: Path,
        detector: Path | None,
        progress: Progress,
    ) -> Path:
        return finetune_segmenter(
            train,
            validation,
            start=start,
            recipe=recipe,
            folder=folder,
            detector=detector,
            processes=self.processes,
            progress=progress,
        )

    def load(self, files: ModelFiles) -> Prelabeller:
        return Prelabeller.load(files, threads=self.threads, runtime=self.runtime, exported=self.exported)
