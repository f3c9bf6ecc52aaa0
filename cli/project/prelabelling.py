"""`yolo-mlsam prelabel-project`: queue the prelabelling of a project, and show its progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.progress import Progress

from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.errors import MammoError, StorageUnavailable
from mammo.findings import MAX_FINDINGS
from mammo.runs.jobs import PREDICT
from mammo.runs.payloads import PrelabelProject

NO_WORKER = (
    "no worker takes prelabelling jobs: this one waits for `yolo-mlsam work` (Ctrl-C leaves it in the queue)"
)
POLL_SECONDS = 1.0

INCOMPLETE = 2
"""Exit code if tasks were left without a prediction."""


def prelabel_project(*, project: int, wait: bool) -> int:
    """Queue the prelabelling of every task without a prediction of the champion.

    Args:
        wait: show the job's progress until it ends.

    Returns:
        Exit code: 0, or `INCOMPLETE`.

    Raises:
        StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        MammoError: the job failed.
    """
    queue = changing_site().queue
    job = queue.enqueue_prelabel(PrelabelProject(project, None)).job_id
    console = text_console(soft_wrap=True)
    console.print(f"job {job}")
    if PREDICT in queue.condition().unserved:
        console.print(NO_WORKER)
    if not wait:
        return 0
    with Progress(console=console) as bars:
        bar, is_answered = bars.add_task(f"prelabel project {project}", total=1.0), True
        while True:
            try:
                status = queue.status(job)
            except StorageUnavailable as error:
                if error.code != "queue_unavailable":
                    raise
                if is_answered:
                    console.print(
                        f"{error}; the job goes on, and so does waiting for it (Ctrl-C ends the waiting)"
                    )
                is_answered = False
                time.sleep(POLL_SECONDS)
                continue
            is_answered = True
            bars.update(bar, completed=status.progress)
            if status.state == "finished":
                bars.update(bar, completed=1.0)
                break
            if status.state not in ("queued", "started", "deferred", "scheduled"):
                raise MammoError(f"job {job} is {status.state}: {status.error}")
            time.sleep(POLL_SECONDS)
    result = status.result if isinstance(status.result, dict) else {}
    console.print(summary(result))
    return INCOMPLETE if result.get("failed") else 0


def summary(result: Mapping[str, Any]) -> str:
    """Return the job's result in one line.

    Args:
        result: of `worker.prelabelling.prelabel_tasks`.
    """
    parts = [f"{result.get('predicted') or 0} predicted", f"{result.get('already') or 0} predicted before"]
    parts += [f"{result['withheld']} withheld"] if result.get("withheld") else []
    failed = result.get("failed") or {}
    if failed:
        reasons = ", ".join(f"{count} {code}" for code, count in sorted(failed.items()))
        parts.append(f"{sum(failed.values())} failed ({reasons}); see the worker's log for the tasks")
    line = f"{result.get('version', 'predictions')}: {', '.join(parts)}"
    cut = result.get("cut") or {}
    if cut.get("findings"):
        line += (
            f"; {cut['findings']} findings of {cut['tasks']} tasks are not shown: an image shows its best "
            f"{MAX_FINDINGS}"
        )
    return line
