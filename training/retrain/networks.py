"""TorchNetworks: the real networks behind a retrain. The only module of the chain that brings torch in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from mammo.detector import RuntimeName
from mammo.models import ModelFiles
from mammo.pipeline import Prelabeller
from training.detector.finetune import finetune_detector
from training.retrain.context import FinetunesSegmenter
from training.segmenter.finetune import finetune_segmenter

LIBRARIES = ("torch", "ultralytics", "segment-anything", "openvino")
"""Distributions whose versions decide what the networks compute."""


@dataclass(frozen=True)
class TorchNetworks:
    """Implements `training.retrain.context.Networks`."""

    threads: int = 0
    """CPU threads of the networks; 0 lets torch choose."""

    runtime: RuntimeName = "auto"
    """Of the detector; the gate judges champion and challenger with it, as they serve."""

    exported: Path | None = None
    """Folder of the detector's exported networks; None keeps none."""

    processes: int = 1
    """How many train a segmenter together, one for each GPU of the job."""

    finetune_detector = staticmethod(finetune_detector)

    @property
    def finetune_segmenter(self) -> FinetunesSegmenter:
        return partial(finetune_segmenter, processes=self.processes)

    def load(self, files: ModelFiles) -> Prelabeller:
        return Prelabeller.load(files, threads=self.threads, runtime=self.runtime, exported=self.exported)

    def libraries(self) -> dict[str, str]:
        return {name: version(name) for name in LIBRARIES}
