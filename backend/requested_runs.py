"""Runs that somebody asks for over HTTP, by program or on the console."""

from __future__ import annotations

from backend.services import Services
from mammo.labelstudio.existing_projects import require_project
from mammo.runs import Started


def start_requested(
    services: Services, project: int, *, reason: str, recipe: str | None, actor: str = ""
) -> Started:
    """Start a run, unless the project has an active one.

    Raises:
        UnknownProject: Label Studio has no such project.
        NeverTrainedFrom, StorageUnavailable: see `RetrainTriggers.start`.
    """
    require_project(services.site.label_studio, project)
    return services.triggers.start(project, reason=reason, trigger="api", recipe=recipe, actor=actor)
