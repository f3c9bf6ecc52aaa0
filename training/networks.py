"""TorchNetworks: the real networks behind a retrain. The only module of the chain that brings torch in."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.pipeline import Prelabeller
from mammo.registry import ModelFiles
from training.detector_finetune import finetune_detector
from training.segmenter_finetune import finetune_segmenter


@dataclass(frozen=True)
class TorchNetworks:
    """Implements `training.retrain.Networks`."""

    threads: int = 0
    """CPU threads of the networks; 0 lets torch choose."""

    finetune_detector = staticmethod(finetune_detector)
    finetune_segmenter = staticmethod(finetune_segmenter)

    def load(self, files: ModelFiles) -> Prelabeller:
        return Prelabeller.load(files, threads=self.threads)
