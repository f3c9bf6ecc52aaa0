"""`python -m tests.training.segmenter_run FOLDER [PROCESSES]`: a small training run of its own, to be killed."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from tests.training.segmenter_cases import case
from training.segmenter.finetune import finetune_segmenter
from training.segmenter.recipes import segmenter_smoke

RECIPE = replace(segmenter_smoke(), steps=12, batch=4, validate_every=4, checkpoint_every=2)


def main(folder: Path, processes: int = 1) -> Path:
    torch.set_num_threads(1)

    def report(fraction: float, message: str) -> None:
        print(f"{fraction:.3f} {message}", flush=True)

    cases = [case(seed) for seed in (1, 2, 3)]
    return finetune_segmenter(
        cases, [case(9)], start=None, recipe=RECIPE, folder=folder, processes=processes, progress=report
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
