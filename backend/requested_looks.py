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


def search(services: Services, project: int, *, predictions: int, folds: int = 0, seed: int = 0) -> Enqueued:
    """Enqueue a search for doubtful labels, unless one of the project is active.

    Args:
        folds, seed: of out-of-fold predictions; with 0 folds, stored predictions are used.

    Raises:
        HTTPException: 422, one fold.
        UnknownProject: Label Studio has no such project.
        StorageUnavailable: Redis does not answer.
    """
    if folds == 1:
        raise HTTPException(422, "one fold leaves nobody to learn from: 0, or at least 2 folds")
    require_project(services.site.label_studio, project)
    return services.queue.enqueue_look_again(LookAgain(project, predictions, folds, seed))


def cancel_search(services: Services, project: int, *, actor: str) -> str:
    """Cancel the active search of a project; returns its job id.

    Raises:
        HTTPException: 409, none is active.
        StorageUnavailable: Redis does not answer.
    """
    job = services.queue.cancel_looking_again(project, actor=actor)
    if job is None:
        raise HTTPException(409, f"no search of project {project} is active")
    return job


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
