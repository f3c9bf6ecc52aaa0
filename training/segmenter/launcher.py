"""`python -m training.segmenter.launcher COUNT ORDER`: starts the ranks of a run; they die with it.

Says which rank ended by itself, and how, as a line of JSON on stdout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as launch

from mammo.leash import leashed
from training.segmenter.parallel_training import tell


def main(count: int, order: Path) -> int:
    """Start `count` ranks on this host and wait for them; 0 when all have done their work."""
    rank = leashed([sys.executable, "-m", "training.segmenter.rank", str(order)], parent=os.getpid())
    where = ["--standalone", "--local-addr=127.0.0.1", f"--log-dir={order.parent / 'processes'}"]
    try:
        launch([*where, f"--nproc-per-node={count}", "--no-python", *rank])
    except ChildFailedError as error:
        # One that is killed makes the others fail too, since they can no longer reach it: it is the cause.
        first, failure = min(
            error.failures.items(), key=lambda each: (each[1].exitcode >= 0, each[1].timestamp)
        )
        tell(ended=failure.exitcode, rank=first)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
