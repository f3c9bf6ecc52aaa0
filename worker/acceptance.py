"""Acceptance: in the automatic stage, predictions that need no reader become annotations of the service account."""

from __future__ import annotations

import time
from collections import Counter
from functools import cached_property
from typing import Any

import structlog

from mammo.annotations.automatic import AutomaticAnnotation, record_automatic, record_automatic_id
from mammo.site import Site
from mammo.stages import refusal

AUDIT_SECONDS = 30.0
"""Seconds for which an audit's result stays valid while predictions are accepted."""

log = structlog.get_logger()


def accept_predictions(
    project: int,
    *,
    version: str,
    site: Site,
    audit_seconds: float = AUDIT_SECONDS,
) -> dict[str, int]:
    """Submit every prediction that may become an annotation without a reader. Safe to repeat.

    Does nothing in a project that is not in the automatic stage. The stage is checked before every submission, and the
    audited quality before the first and then every `audit_seconds`: once a person or the audit ends the automatic
    stage, nothing more is submitted.

    Args:
        version: model version of the predictions, which have been pushed before.

    Returns:
        Number of tasks by outcome: `accepted`, or the reason why a person reads the task.

    Raises:
        LabelStudioError: Label Studio does not answer or refuses; earlier submissions stay.
        StorageUnavailable: a submission could not be recorded, and was not made.
    """
    if site.stage_log.stage(project) != "automatic":
        return {}
    acceptance = _Acceptance(project, version=version, site=site, audit_seconds=audit_seconds)
    outcomes: Counter[str] = Counter()
    for task in site.client.tasks(project):
        if task.get("total_annotations") or task.get("cancelled_annotations"):
            continue  # a person has read it
        outcome = acceptance.accept(task)
        outcomes[outcome] += 1
        if outcome == "not_automatic":
            log.warning("automatic annotation has stopped", project=project, accepted=outcomes["accepted"])
            break
    log.info("predictions_accepted", project=project, **outcomes)
    return dict(outcomes)


class _Acceptance:
    """Accepts predictions of one project and one model version."""

    def __init__(self, project: int, *, version: str, site: Site, audit_seconds: float) -> None:
        self._project = project
        self._version = version
        self._site = site
        self._audit_seconds = audit_seconds
        self._audit_due = 0.0

    def accept(self, task: dict[str, Any]) -> str:
        """Submit a task's prediction if it may be; return `accepted`, or the reason why not."""
        project, site = self._project, self._site
        prelabel = site.store.prelabel(project, task["id"], self._version)
        if prelabel is None or prelabel.shown_at is None:
            return "not_prelabelled"
        if time.monotonic() >= self._audit_due:
            site.stages.audit(project)
            self._audit_due = time.monotonic() + self._audit_seconds
        stage = site.stage_log.current(project)
        reason = refusal(prelabel, stage, blind=site.blinding.is_blind(project, task["id"], task["data"]))
        if reason is not None:
            return reason
        assert stage is not None
        assert stage.threshold is not None
        automatic = AutomaticAnnotation(
            project=project,
            task=task["id"],
            model_version=self._version,
            account=self._account,
            score=prelabel.score,
            threshold=stage.threshold,
        )
        record_automatic(site.engine, automatic, prelabel.regions)
        annotation = site.service_account.annotate(task["id"], prelabel.regions)
        record_automatic_id(site.engine, automatic, annotation)
        return "accepted"

    @cached_property
    def _account(self) -> int:
        """Number of the service account in Label Studio."""
        return self._site.service_account.account()
