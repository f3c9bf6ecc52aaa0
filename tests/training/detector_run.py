"""A small detector run in a process of its own, to be killed: `python -m tests.training.detector_run START FOLDER`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from mammo.geometry import Box
from tests.training.detector_cases import case
from training.detector.finetune import finetune_detector
from training.detector.recipes import detector_smoke

CLUSTER_BOX = Box(60, 200, 110, 250)
CASES = [case(1, CLUSTER_BOX), case(2, CLUSTER_BOX), case(3)]
RECIPE = replace(detector_smoke(), tile=96, background=0.2, epochs=3, mosaic=0.5)


def run(start: Path, folder: Path) -> Path:
    """Train, and print the progress of every batch as one line."""
    torch.set_num_threads(1)
    return finetune_detector(
        CASES,
        [],
        start=start,
        recipe=RECIPE,
        folder=folder,
        progress=lambda fraction, message: print(f"{fraction:.3f} {message}", flush=True),
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
