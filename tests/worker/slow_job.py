"""Jobs that only the tests enqueue, and a worker process to run them: `python -m tests.worker.slow_job URL`."""

import sys
import time
from pathlib import Path

from mammo.broker import redis_connection
from worker.stoppable_worker import make_worker


def slow(folder):
    """The first run never ends by itself; the second one ends at once."""
    started = Path(folder) / "started"
    if started.exists():
        return "second run"
    started.write_text("")
    time.sleep(600)
    return "first run"


if __name__ == "__main__":
    jobs = {"tests.worker.slow_job.slow": slow, "builtins.len": len}
    make_worker(redis_connection(sys.argv[1]), jobs=jobs).work(burst="--burst" in sys.argv)
