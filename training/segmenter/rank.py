"""`python -m training.segmenter.rank REQUEST`: one of the processes that train a segmenter together.

The first rank reports its progress, and every rank its failure, as messages on stdout.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from mammo.segmenter.weights import load_segmenter
from training.segmenter.finetune import train_network
from training.segmenter.parallel_training import TrainingRequest
from training.segmenter.process_group import ProcessGroup, joined_process_group
from training.segmenter.process_messages import failure_fields, send_message
from training.segmenter.rois import TrainingRegions, read_rois


def main(path: Path) -> int:
    """Join the group and train; returns 0, or 1 after a failure that was reported."""
    with joined_process_group():
        code = train_share(path)
        if code:
            os._exit(code)  # leaving the group properly could wait for the others, which wait for this rank
    return 0


def train_share(path: Path) -> int:
    """Do this rank's share of a request; returns 0, or 1 after a failure that was reported."""

    def progress(fraction: float, message: str) -> None:
        if ProcessGroup.current().is_first:
            send_message(progress=fraction, message=message)

    def measure(name: str, step: int, value: float) -> None:
        if ProcessGroup.current().is_first:
            send_message(measured=name, step=step, value=value)

    folder = path.parent
    try:
        request = TrainingRequest.read(path)
        train_network(
            load_segmenter(folder / request.start)[0],
            TrainingRegions(read_rois(folder / "train"), read_rois(folder / "validation")),
            recipe=request.recipe,
            folder=folder,
            start_competes=request.start_competes,
            facts=request.facts,
            progress=progress,
            measure=measure,
        )
    except Exception as error:
        traceback.print_exc()
        send_message(**failure_fields(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
