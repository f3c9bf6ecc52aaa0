"""`python -m training.segmenter.launcher NUM_PROCESSES REQUEST`: start the ranks of a run, which die with it.

Reports the rank that ended first, and its exit code, as a message on stdout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as launch

from mammo.leash import leashed
from training.segmenter.process_messages import send_message


def main(num_processes: int, request: Path) -> int:
    """Start the ranks on this host and wait for them; returns 0 if all succeed, otherwise 1."""
    rank = leashed([sys.executable, "-m", "training.segmenter.rank", str(request)], parent=os.getpid())
    options = ["--standalone", "--local-addr=127.0.0.1", f"--log-dir={request.parent / 'processes'}"]
    try:
        launch([*options, f"--nproc-per-node={num_processes}", "--no-python", *rank])
    except ChildFailedError as error:
        # A killed rank makes the others fail, because they can no longer reach it: report it first.
        first, failure = min(
            error.failures.items(), key=lambda each: (each[1].exitcode >= 0, each[1].timestamp)
        )
        send_message(ended=failure.exitcode, rank=first)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
