"""The jobs named in `mammo.runs.jobs`, among them the retrain (steps 9 to 12 of the walk).

Each takes ids, does one thing, and is safe to repeat. A job runs in a process of its own, which imports torch only when
it needs a network.

A job that fails with a MammoError leaves its message in `meta["error"]`. A failed job is not retried; a job whose
worker was stopped or killed is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from rq import get_current_job

from mammo.errors import InvalidSettings, MammoError, RunConflict, UnknownRun
from mammo.runs import Claim, Run, RunLedger, Runs, claim, is_provisional, this_process
from mammo.runs.claims import STALE
from mammo.runs.jobs import ADAPT, IMPORT_FROM_PACS, LOOK_AGAIN, PRELABEL, RETRAIN, SEND_RESULTS
from mammo.runs.payloads import (
    Adapt,
    ImportFromPacs,
    LookAgain,
    Payload,
    PrelabelProject,
    Retrain,
    SendResults,
    read_payload,
)
from mammo.site import Site
from worker.acceptance import accept_predictions
from worker.adapting import adapt_on_site, announce_promotion
from worker.claimed_run import run_steps
from worker.current_site import open_site
from worker.learning_curve import record_learning_curve
from worker.looking_again import look_again as find_doubts
from worker.looking_again import stoppable
from worker.prelabelling import Part, prelabel_tasks
from worker.progress import JobProgress
from worker.provisional import make_provisional
from worker.retraining import retrain_context
from worker.shadowing import shadow_tasks

if TYPE_CHECKING:
    from training.retrain.step_progress import ReportStep

CLAIM_SECONDS = STALE.total_seconds() + 10
"""How long a job tries to claim a run that no process owns, in seconds."""

log = structlog.get_logger()


def retrain(payload: dict[str, Any]) -> dict[str, Any]:
    """Train a challenger on a project's corrections, and promote it if the gate agrees; or train a provisional model.

    See `training.retrain.retrain` and `training.provisional.provisional`.
    """
    with _job("retrain", Retrain, payload) as (order, job_id, progress), open_site() as site:
        return _train(order, job_id, site, progress)


def adapt(payload: dict[str, Any]) -> dict[str, Any]:
    """Train a challenger on clusters inserted into background images, and promote it if the gate agrees.

    See `training.adapt.adapt`.
    """
    with _job("adapt", Adapt, payload) as (order, job_id, progress), open_site() as site:
        return _train(order, job_id, site, progress)


def _train(order: Retrain | Adapt, job_id: str, site: Site, progress: JobProgress) -> dict[str, Any]:
    """Run the steps of a job's run, or conclude one that an earlier attempt has ended."""
    from training.retrain.outcome import conclude

    runs = Runs(site.engine)
    run, owned = _claim_run(runs, order, job_id)
    if run.state in ("promoted", "kept", "provisional"):  # an earlier attempt was killed after the verdict
        results = runs.results(run.id)
        summary: dict[str, Any] = results["outcome"]
        evaluations = {each: results[each] for each in ("champion", "challenger")}
        conclude(summary, evaluations, context=retrain_context(site))
    elif owned is None:
        raise RunConflict(
            f"run {run.id} is {run.state}, and this process cannot claim it; "
            "see its events with `yolo-mlsam runs show`"
        )
    else:
        ledger = RunLedger(site.engine, owned)

        def steps(report: ReportStep) -> dict[str, Any]:
            if isinstance(order, Adapt):
                return adapt_on_site(run, ledger, site, report)
            request = Retrain(run.project, run.recipe, run.reason)
            if is_provisional(run.recipe):
                return make_provisional(request, run.id, ledger, site, report)
            return _retrain(request, run.id, ledger, site, report)

        summary = run_steps(ledger, steps, progress=progress, fail=progress.fail)
    record_learning_curve(run.project, run.id, site)
    if summary["promoted"] or summary.get("provisional"):
        announce_promotion(run.project, summary["challenger"], site)
    log.info("verdict", promoted=summary["promoted"], challenger=summary["challenger"])
    return summary


def _claim_run(runs: Runs, order: Retrain | Adapt, job_id: str) -> tuple[Run, Claim | None]:
    """Return a job's run and the claim on it. An unfinished run in the same place is continued.

    If another process works on the run (the queue lost track of that job), this one waits. Giving up would mark a
    healthy run as failed, and leave nobody to continue it if that process dies.
    """
    try:
        run = runs.get(job_id)
    except UnknownRun:
        asked = runs.request(
            order.project,
            recipe=order.recipe,
            reason=order.reason,
            trigger="adapt" if isinstance(order, Adapt) else "button",
            run_id=job_id,
            order={"backgrounds": order.backgrounds} if isinstance(order, Adapt) else None,
        )
        run = runs.get(asked.run)
    deadline = time.monotonic() + CLAIM_SECONDS
    while (owned := claim(runs, run.id, owner=this_process())) is None:
        run = runs.get(run.id)
        if run.owner is not None:  # the owner either finishes the run, or dies and frees it
            deadline = time.monotonic() + CLAIM_SECONDS
        if not run.active or time.monotonic() > deadline:
            return run, None
        time.sleep(1.0)
    return runs.get(run.id), owned


def _retrain(
    order: Retrain,
    run: str,
    ledger: RunLedger,
    site: Site,
    report: ReportStep,
) -> dict[str, Any]:
    from training.retrain import retrain as training
    from training.retrain.recipes import RECIPES

    if order.recipe not in RECIPES:
        raise InvalidSettings(f"recipe {order.recipe!r} is not one of {', '.join(RECIPES)}")
    recipe = RECIPES[order.recipe].with_gate(
        primary=site.settings.gate_primary or None,
        confidence=site.settings.gate_confidence,
        min_patients=site.settings.gate_min_patients,
    )
    if (count := site.settings.train_processes) > 1:
        # Checked now, not after hours of training the detector.
        from training.segmenter.parallel_training import require_equal_shares

        require_equal_shares(count, batch=recipe.segmenter.batch)
    report("dataset", 0.0, "asking Label Studio for corrections whose webhooks were lost")
    site.reconcile(order.project, complete=True)
    return training.retrain(
        order,
        run=run,
        recipe=recipe,
        context=retrain_context(site),
        report=report,
        tags=site.tags(order.project),
        ledger=ledger,
    )


def prelabel_project(payload: dict[str, Any]) -> dict[str, Any]:
    """Give every task of a project a prediction of one model version; see `worker.prelabelling`.

    A refresh enqueues its next part, and ends when another version serves the project. In the automatic stage some
    predictions become annotations; see `worker.acceptance`.
    """
    with _job("prelabel", PrelabelProject, payload) as (order, _, report), open_site() as site:
        version = order.model_version or site.serving(order.project)
        if order.refresh and site.serving(order.project) != version:
            return {"version": version, "superseded": True}
        prelabeller = site.load_model(version)
        part = Part.of(order.after, site.settings) if order.refresh else None
        summary = prelabel_tasks(
            order.project, prelabeller, site=site, report=report, withheld=site.withholding, part=part
        )
        if (last := summary.get("after")) is not None:  # the rest, behind the jobs that wait
            site.queue.enqueue_prelabel(replace(order, model_version=version, after=last))
            return summary
        if version not in site.provisional.versions().values():  # people read what such a model finds
            summary["automatic"] = accept_predictions(order.project, version=version, site=site)
        shadow = shadow_tasks(order.project, serving=version, site=site, report=report)
        if shadow is not None:
            summary["shadow"] = shadow
        return summary


def look_again(payload: dict[str, Any]) -> dict[str, Any]:
    """Find the labels of a project that are probably wrong; see `worker.looking_again`."""
    with _job("look-again", LookAgain, payload) as (order, job_id, report), open_site() as site:
        cancelled_by = partial(site.queue.cancelled_by, job_id)
        return find_doubts(order, site=site, report=stoppable(report, cancelled_by))


def import_from_pacs(payload: dict[str, Any]) -> dict[str, Any]:
    """Import images from the PACS into a project; see `worker.pacs`."""
    from worker.pacs import import_from_pacs as work

    with _job("import-from-pacs", ImportFromPacs, payload) as (order, _, report), open_site() as site:
        return work(order.project, order.number, site=site, report=report)


def send_results(payload: dict[str, Any]) -> dict[str, Any]:
    """Send the results of a project to the PACS; see `worker.pacs`."""
    from worker.pacs import send_results as work

    with _job("send-results", SendResults, payload) as (order, _, report), open_site() as site:
        return work(order.project, order.kind, actor=order.actor, site=site, report=report)


JOBS = {
    RETRAIN: retrain,
    ADAPT: adapt,
    PRELABEL: prelabel_project,
    LOOK_AGAIN: look_again,
    IMPORT_FROM_PACS: import_from_pacs,
    SEND_RESULTS: send_results,
}
"""Every job that a worker runs; see `worker.registered_job`."""


@contextmanager
def _job(
    name: str, kind: type[Payload], payload: dict[str, Any]
) -> Iterator[tuple[Payload, str, JobProgress]]:
    """Yield order, id and progress of the running job; record why it fails."""
    job = get_current_job()
    progress, fields = JobProgress(job), {"job": name}
    try:
        order = read_payload(kind, payload)
        fields["project"] = str(order.project)
        log.info("job_started", **fields)
        yield order, (job.id if job else name), progress
    except Exception as error:
        if isinstance(error, MammoError) and not progress.failed:
            progress.fail(str(error))
        if job is not None:
            job.retries_left = 0  # retries are for jobs that were killed; this one would fail again
        log.warning("job_failed", error=type(error).__name__, **fields)
        raise
