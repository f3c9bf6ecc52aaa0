"""TorchNetworks: the real networks behind a retrain. The only module of the chain that brings torch in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from mammo.detector import RuntimeName
from mammo.pipeline import Prelabeller
from mammo.registry import ModelFiles
from training.detector_finetune import finetune_detector
from training.segmenter_finetune import finetune_segmenter
from training.workshop import FinetunesSegmenter

LIBRARIES = ("torch", "ultralytics", "segment-anything", "openvino")
"""Distributions whose versions decide what the networks compute."""


@dataclass(frozen=True)
class TorchNetworks:
    """Implements `training.workshop.Networks`."""

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
