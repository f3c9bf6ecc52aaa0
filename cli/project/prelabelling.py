"""`yolo-mlsam prelabel-project`: ask the worker for the predictions of a whole project, and follow it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import Progress

from mammo.errors import MammoError
from mammo.runs.jobs import PREDICT, PrelabelProject
from mammo.site import Site

NO_WORKER = "no worker takes predictions: the job waits for `yolo-mlsam work` (Ctrl-C leaves it in the queue)"
POLL_SECONDS = 1.0
BROKER_SECONDS = 3
"""Seconds to wait for a broker that is away: somebody sits before the screen."""

INCOMPLETE = 2
"""Exit code when tasks are left without a prediction."""


def prelabel_project(*, project: int, wait: bool) -> int:
    """Queue the prelabelling of every task that the champion has not prelabelled yet; optionally follow it.

    Returns:
        Exit code: 0, or 2 when some images could not be predicted.

    Raises:
        StorageUnavailable: the broker does not answer (code `queue_unavailable`).
        MammoError: the job failed.
    """
    queue = Site.load(broker_seconds=BROKER_SECONDS).queue
    job = queue.enqueue_prelabel(PrelabelProject(project, None)).job_id
    console = Console(soft_wrap=True)
    console.print(f"job {job}")
    if PREDICT in queue.condition().unserved:
        console.print(NO_WORKER)
    if not wait:
        return 0
    with Progress(console=console) as bars:
        bar = bars.add_task(f"prelabel project {project}", total=1.0)
        while True:
            status = queue.status(job)
            bars.update(bar, completed=status.progress)
            if status.state == "finished":
                bars.update(bar, completed=1.0)
                break
            if status.state not in ("queued", "started", "deferred", "scheduled"):
                raise MammoError(f"job {job} is {status.state}: {status.error}")
            time.sleep(POLL_SECONDS)
    done = status.result if isinstance(status.result, dict) else {}
    console.print(summary(done))
    return INCOMPLETE if done.get("failed") else 0


def summary(done: Mapping[str, Any]) -> str:
    """What became of the tasks, in one line.

    Args:
        done: what `worker.prelabelling.prelabel_tasks` returns.
    """
    counts = ((done.get("predicted"), "predicted"), (done.get("already"), "had one"))
    parts = [f"{count or 0} {what}" for count, what in counts]
    parts += [f"{done['withheld']} withheld"] if done.get("withheld") else []
    failed = done.get("failed") or {}
    if failed:
        reasons = ", ".join(f"{count} {code}" for code, count in sorted(failed.items()))
        parts.append(f"{sum(failed.values())} failed ({reasons}); the worker's log names the tasks")
    return f"{done.get('version', 'predictions')}: {', '.join(parts)}"
