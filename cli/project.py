"""`yolo-mlsam connect` and `prelabel-project`: a Label Studio project meets this service."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import Progress

from mammo.errors import InvalidSettings, MammoError
from mammo.jobs import JobQueue, PrelabelProject, redis_connection
from mammo.labelstudio.client import LabelStudioClient
from mammo.settings import Settings


def connect(*, project: int, url: str) -> None:
    """Connect a project to this backend: one ML backend row, one webhook row with our secret.

    Args:
        url: where Label Studio reaches the backend.
    """
    settings = Settings.load()
    password = settings.auth_password.get_secret_value()
    secret = settings.webhook_secret.get_secret_value()
    if not password or not secret:
        raise InvalidSettings("connect needs YOLO_MLSAM_AUTH_PASSWORD and YOLO_MLSAM_WEBHOOK_SECRET")
    connection = _client(settings).connect_backend(
        project, url, user=settings.auth_user, password=password, webhook_secret=secret
    )
    Console().print(
        f"project {project}: ML backend {connection.ml_backend}, webhook {connection.webhook}, both to {url}"
    )


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


def _client(settings: Settings) -> LabelStudioClient:
    key = settings.label_studio_api_key.get_secret_value()
    if not settings.label_studio_url or not key:
        raise InvalidSettings("set YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY")
    return LabelStudioClient(settings.label_studio_url, key)
