"""Second looks that somebody asks for over HTTP, by program or on the console."""

from __future__ import annotations

from fastapi import HTTPException

from backend.services import Services
from mammo.labelstudio.existing_projects import require_project
from mammo.runs.jobs import Enqueued
from mammo.runs.payloads import LookAgain
from mammo.second_looks import Sent

MAX_PREDICTIONS = 10_000
DEFAULT_PREDICTIONS = 200
"""Tasks that one search predicts: on a CPU, some ten minutes."""

MAX_SENT = 500
DEFAULT_SENT = 20
"""Labels that are sent back at once."""


def search(services: Services, project: int, *, predictions: int) -> Enqueued:
    """Enqueue a search for doubtful labels, unless one of the project is active.

    Raises:
        UnknownProject: Label Studio has no such project.
        StorageUnavailable: Redis does not answer.
    """
    require_project(services.site.label_studio, project)
    return services.queue.enqueue_look_again(LookAgain(project, predictions))


def send_back(services: Services, project: int, *, limit: int, actor: str) -> Sent:
    """Send the strongest doubts back to their readers; see `SecondLookService.send_back`.

    Raises:
        HTTPException: 409, Label Studio is not set up.
    """
    if services.site.label_studio is None:
        raise HTTPException(
            409,
            "labels are sent back through Label Studio: set its address and API key, see docs/settings.md",
        )
    services.site.make_room()
    return services.site.second_looks.send_back(project, limit=limit, actor=actor)
