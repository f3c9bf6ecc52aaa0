"""Runs that somebody asks for over HTTP, by program or on the console."""

from __future__ import annotations

from typing import cast

from backend.readiness import Waiting
from backend.services import Services
from mammo.errors import InsufficientData
from mammo.labelstudio.existing_projects import require_project
from mammo.runs import Started
from mammo.runs.states import is_provisional
from mammo.training_settings import RecipeName


def start_requested(
    services: Services, project: int, *, reason: str, recipe: str | None, actor: str = ""
) -> Started:
    """Start a run, unless the project has an active one.

    Raises:
        UnknownProject: Label Studio has no such project.
        InsufficientData: the run could not succeed; the message says what it needs.
        NeverTrainedFrom, StorageUnavailable: see `RetrainTriggers.start`.
    """
    require_project(services.site.label_studio, project)
    recipe_name = recipe or services.settings.recipe
    runs = services.site.runs
    # a provisional model does without the gate, and is refused where it is made
    if not is_provisional(recipe_name) and runs.runs.active(project) is None and runs.is_trainable(project):
        _require_enough(services, project, recipe=cast(RecipeName, recipe_name))
    return services.triggers.start(project, reason=reason, trigger="api", recipe=recipe, actor=actor)


def _require_enough(services: Services, project: int, *, recipe: RecipeName) -> None:
    """Refuse a run that would fail for lack of data after it has waited for a worker."""

    def refusal() -> str | None:
        return Waiting.of(project, services.store).refusal(services.settings, recipe)

    why = refusal()
    if why is not None and services.site.label_studio is not None:
        # As a worker would do first: events may have been lost.
        services.site.reconcile(project, complete=True)
        why = refusal()
    if why is not None:
        raise InsufficientData(f"a run of project {project} cannot succeed: {why}")
