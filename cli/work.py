"""`yolo-mlsam work`: the workers of this machine, under one supervisor."""

from __future__ import annotations

import logging
import os

from mammo.site import Site
from worker.gpus import chosen_gpus
from worker.placement import posts
from worker.supervisor import Supervisor


def work_command(*, queues: str, gpus: str) -> int:
    """Work until stopped; returns the exit status.

    Args:
        queues: comma separated, of `mammo.runs.jobs.QUEUES`.
        gpus: see `worker.gpus.chosen_gpus`.

    Raises:
        InvalidSettings: queues, GPUs or the environment are not as they must be.
    """
    settings = Site.load().settings
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s supervisor: %(message)s")
    found = chosen_gpus(gpus, environment=os.environ)
    staff = posts((name.strip() for name in queues.split(",")), found)
    cards = ", ".join(gpu.label for gpu in found)
    logging.info("%d worker(s); GPUs: %s", len(staff), cards or "none, all on the CPU")
    return Supervisor(staff, dict(os.environ)).run()
