"""`python -m training.segmenter.rank ORDER`: one of the processes that train a segmenter together.

The first one says how far it is, and each why it failed, as a line of JSON on stdout.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from mammo.segmenter.weights import load_segmenter
from training.segmenter.finetune import train_network
from training.segmenter.parallel_training import Order, as_told, tell
from training.segmenter.process_group import Processes, joined_processes
from training.segmenter.rois import read_rois


def main(path: Path) -> int:
    """0; 1 when it failed for a reason that it told."""
    with joined_processes():
        code = carry_out(path)
        if code:
            os._exit(code)  # leaving the group in good order could wait for the others, who wait for us
    return 0


def carry_out(path: Path) -> int:
    """Do this process's share of an order, as `main`."""

    def progress(fraction: float, message: str) -> None:
        if Processes.current().first:
            tell(progress=fraction, message=message)

    folder = path.parent
    try:
        order = Order.read(path)
        train_network(
            load_segmenter(folder / order.start)[0],
            read_rois(folder / "train"),
            read_rois(folder / "validation"),
            recipe=order.recipe,
            folder=folder,
            start_competes=order.start_competes,
            facts=order.facts,
            progress=progress,
        )
    except Exception as error:
        traceback.print_exc()
        tell(**as_told(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
