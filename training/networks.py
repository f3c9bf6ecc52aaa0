"""TorchNetworks: the real networks behind a retrain. The only module of the chain that brings torch in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammo.detector import RuntimeName
from mammo.pipeline import Prelabeller
from mammo.registry import ModelFiles
from training.detector_finetune import finetune_detector
from training.segmenter_finetune import finetune_segmenter


@dataclass(frozen=True)
class TorchNetworks:
    """Implements `training.retrain.Networks`."""

    threads: int = 0
    """CPU threads of the networks; 0 lets torch choose."""

    runtime: RuntimeName = "auto"
    """Of the detector; the gate judges champion and challenger with it, as they serve."""

    exported: Path | None = None
    """Folder of the detector's exported networks; None keeps none."""

    finetune_detector = staticmethod(finetune_detector)
    finetune_segmenter = staticmethod(finetune_segmenter)

    def load(self, files: ModelFiles) -> Prelabeller:
        return Prelabeller.load(files, threads=self.threads, runtime=self.runtime, exported=self.exported)
