"""`yolo-mlsam prelabel-project`: ask the worker for the predictions of a whole project, and follow it."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import Progress

from mammo.errors import MammoError
from mammo.jobs import JobQueue, PrelabelProject, redis_connection
from mammo.settings import Settings


def prelabel_project(*, project: int, wait: bool) -> None:
    """Queue the prelabelling of every task that the champion has not prelabelled yet; optionally follow it."""
    settings = Settings.load()
    queue = JobQueue(redis_connection(settings.redis_url.get_secret_value()))
    job = queue.enqueue_prelabel(PrelabelProject(project, None)).job_id
    console = Console()
    console.print(f"job {job}")
    if not wait:
        return
    with Progress(console=console) as bars:
        bar = bars.add_task(f"prelabel project {project}", total=1.0)
        while True:
            status = queue.status(job)
            bars.update(bar, completed=status.progress)
            if status.state == "finished":
                bars.update(bar, completed=1.0)
                return
            if status.state not in ("queued", "started", "deferred", "scheduled"):
                raise MammoError(f"job {job} is {status.state}: {status.error}")
            time.sleep(1.0)
