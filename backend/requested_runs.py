"""Runs that somebody asks for: over HTTP, on the console, on the command line, or with Label Studio's button.

`require_possible` decides for all of them whether a run can succeed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa
import structlog

from backend.readiness import Waiting
from mammo.audit import REFUSED_RUN, append
from mammo.database import audit_entry, reading, writing
from mammo.errors import InsufficientData, NeverTrainedFrom, StorageUnavailable
from mammo.labelstudio.existing_projects import require_project
from mammo.runs import Started, Trigger
from mammo.runs.states import is_provisional
from mammo.training_settings import RecipeName

if TYPE_CHECKING:
    from backend.services import Services
    from mammo.site import Site

BUTTON = "START_TRAINING"
"""Actor of a refusal in the audit trail, and reason of a run: Label Studio does not say who pressed its button."""

REPEATED_AFTER = timedelta(days=1)
"""Age from which the same refusal of a project is recorded again. Label Studio may press the button at every save."""

SHOWN_FOR = timedelta(days=7)
"""Age up to which a refusal is shown."""

NUMBER = re.compile(r"\d+")
"""In a reason: how many patients are needed still changes from save to save."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Refusal:
    """A run that Label Studio's button asked for in vain."""

    at: datetime
    reason: str


def start_requested(
    services: Services,
    project: int,
    *,
    reason: str,
    recipe: str | None,
    actor: str = "",
    trigger: Trigger = "api",
) -> Started:
    """Start a run, unless the project has an active one.

    Raises:
        UnknownProject: Label Studio has no such project.
        InsufficientData: see `require_possible`.
        NeverTrainedFrom, StorageUnavailable: see `RetrainTriggers.start`.
    """
    if trigger != "button":  # Label Studio has named the project itself, and waits for us
        require_project(services.site.label_studio, project)
    try:
        require_possible(services.site, project, recipe=recipe or services.settings.recipe)
    except InsufficientData:
        services.metrics.trainings.labels(outcome="refused").inc()
        raise
    return services.triggers.start(project, reason=reason, trigger=trigger, recipe=recipe, actor=actor)


def require_possible(site: Site, project: int, *, recipe: str) -> None:
    """Refuse a run that would fail for lack of data after it has waited for a worker.

    Not refused here are a request that the project's active run covers, a project that must not be trained on, which
    the run itself refuses, and a provisional model, which does without the gate and is refused where it is made.

    Raises:
        InsufficientData: the run could not succeed; the message says what it needs.
        LabelStudioError, StorageUnavailable: the corrections cannot be counted now.
    """
    runs = site.runs
    if is_provisional(recipe) or runs.runs.active(project) is not None or not runs.is_trainable(project):
        return

    def refusal() -> str | None:
        return Waiting.of(project, site.store).refusal(site.settings, cast(RecipeName, recipe))

    why = refusal()
    if why is not None and site.label_studio is not None:
        # Events may have been lost. What was changed since the last time is enough: deleted tasks add no correction,
        # and Label Studio's button may ask at every save.
        site.reconcile(project)
        why = refusal()
    if why is not None:
        raise InsufficientData(f"a run of project {project} cannot succeed: {why}")


def start_by_button(services: Services, project: int) -> Started:
    """Start the run that somebody asks for with Label Studio's button; a refusal is recorded.

    Label Studio's dialog says *Request Sent! Response: {}* whatever we answer. People read the reason on the console's
    first page, in the audit trail, and where notifications of the topic `run-refused` go, such as the model's note.

    Raises:
        InsufficientData, NeverTrainedFrom, StorageUnavailable: see `start_requested`.
    """
    try:
        return start_requested(services, project, reason=BUTTON, recipe=None, trigger="button")
    except (InsufficientData, NeverTrainedFrom) as error:
        try:
            _record_refusal(services.site, project, reason=str(error))
        except StorageUnavailable as problem:  # the answer has the reason all the same
            log.warning("the refusal of a run is not recorded", project=project, code=problem.code)
        raise


def newest_refusals(site: Site) -> dict[int, Refusal]:
    """Return what Label Studio's button was refused lately, by project; of several, the newest."""
    columns = audit_entry.c
    lately = datetime.now(UTC) - SHOWN_FOR
    statement = (
        sa.select(columns.subject, columns.at, columns.reason)
        .where(columns.action == REFUSED_RUN, columns.actor == BUTTON, columns.at > lately)
        .order_by(columns.number)
    )
    with reading(site.engine) as connection:
        rows = connection.execute(statement).all()
    return {int(row.subject.removeprefix("project ")): Refusal(row.at, row.reason) for row in rows}


def _record_refusal(site: Site, project: int, *, reason: str) -> None:
    """Record why a run was refused, unless the same, its numbers aside, was recorded lately."""
    columns, subject = audit_entry.c, f"project {project}"
    last = (
        sa.select(columns.reason, columns.at)
        .where(columns.action == REFUSED_RUN, columns.subject == subject)
        .order_by(columns.number.desc())
        .limit(1)
    )
    with writing(site.engine) as connection:
        before = connection.execute(last).one_or_none()
        is_recent = before is not None and datetime.now(UTC) - before.at < REPEATED_AFTER
        if before is not None and is_recent and NUMBER.sub("", before.reason) == NUMBER.sub("", reason):
            return
        append(connection, actor=BUTTON, action=REFUSED_RUN, subject=subject, reason=reason)
