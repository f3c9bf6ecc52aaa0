"""`yolo-mlsam work`: the workers of this machine, under one supervisor."""

from __future__ import annotations

import logging
import os

from mammo.site import Site
from worker.gpus import select_gpus
from worker.placement import place_workers
from worker.supervisor import Supervisor


def work_command(*, queues: str, gpus: str) -> int:
    """Work until stopped; return the exit status.

    Args:
        queues: comma-separated names from `mammo.runs.jobs.QUEUES`.
        gpus: see `worker.gpus.select_gpus`.

    Raises:
        InvalidSettings: a queue, a GPU or a setting cannot be used.
        StorageUnavailable: others may access the data folder, and that cannot be changed.
    """
    site = Site.load()
    settings = site.settings
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s supervisor: %(message)s")
    selected = select_gpus(gpus, environment=os.environ)
    specs = place_workers((name.strip() for name in queues.split(",")), selected)
    labels = ", ".join(gpu.label for gpu in selected)
    logging.info("%d worker(s); GPUs: %s", len(specs), labels or "none, all on the CPU")
    _ = site.data_dir  # refused now, not by each worker, if others may access it
    return Supervisor(specs, dict(os.environ)).run()
