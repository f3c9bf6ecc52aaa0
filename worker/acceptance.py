"""The automatic stage: predictions that may stand unseen become annotations of the service's own account."""

from __future__ import annotations

import time
from collections import Counter

import structlog

from mammo.annotations.automatic import Automatic, name_automatic, record_automatic
from mammo.labelstudio.client import LabelStudioClient
from mammo.site import Site
from mammo.stages import refusal

AUDIT_SECONDS = 30.0
"""So long an audit's result is believed while predictions are accepted."""

log = structlog.get_logger()


def accept_predictions(
    project: int,
    *,
    version: str,
    site: Site,
    audit_seconds: float = AUDIT_SECONDS,
) -> dict[str, int]:
    """Submit what may stand, task by task. Nothing happens in a project that is not automatic; safe to repeat.

    The stage is looked up before every single submission, and audited quality before the first and then every
    `audit_seconds`: from the moment somebody, or the audit, ends the automatic stage, nothing more is submitted.

    Args:
        version: of the predictions, which are pushed already.

    Returns:
        Tasks by what became of them: `accepted`, or why a person gets them.

    Raises:
        LabelStudioError: Label Studio is gone or refuses; what was submitted stays.
        StorageUnavailable: a submission could not be written down, and was not made.
    """
    stages = site.stage_log
    if stages.stage(project) != "automatic":
        return {}
    counts: Counter[str] = Counter()
    submitter: LabelStudioClient | None = None
    number = 0
    audit_again = 0.0
    for task in site.client.tasks(project):
        if task.get("total_annotations") or task.get("cancelled_annotations"):
            continue  # somebody was there before
        kept = site.store.prelabel(project, task["id"], version)
        if kept is None or kept.shown_at is None:
            counts["not_prelabelled"] += 1
            continue
        if time.monotonic() >= audit_again:
            site.stages.audit(project)
            audit_again = time.monotonic() + audit_seconds
        change = stages.current(project)
        why = refusal(kept, change, blind=site.blinding.is_blind(project, task["id"], task["data"]))
        if why == "not_automatic":
            log.warning("automatic annotation has stopped", project=project, accepted=counts["accepted"])
            counts[why] += 1
            break
        if why is not None:
            counts[why] += 1
            continue
        assert change is not None
        assert change.threshold is not None
        if submitter is None:
            submitter = site.service_account
            number = submitter.account()
        order = Automatic(
            project=project,
            task=task["id"],
            model_version=version,
            account=number,
            score=kept.score,
            threshold=change.threshold,
        )
        record_automatic(site.engine, order, kept.regions)
        name_automatic(site.engine, order, submitter.annotate(task["id"], kept.regions))
        counts["accepted"] += 1
    log.info("predictions_accepted", project=project, **counts)
    return dict(counts)
