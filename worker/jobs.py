"""The jobs that `mammo.runs.jobs` names. Ids in, one thing done, safe to repeat; torch is imported here and not before.

A job that fails with a reason (a MammoError) leaves its sentence in `meta["error"]`. No failure is tried again; a
job whose worker was stopped or killed is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from rq import get_current_job

from mammo.errors import Cancelled, InvalidSettings, MammoError, RunConflict, UnknownRun
from mammo.models.champion_news import tell_backends
from mammo.models.mlflow_mirror import mirror_if_wanted
from mammo.runs import Claim, Run, RunLedger, Runs, claim, classify, this_process
from mammo.runs.claims import STALE
from mammo.runs.jobs import PRELABEL, RETRAIN, PrelabelProject, Retrain
from mammo.site import Site
from worker.acceptance import accept_predictions
from worker.current_site import open_site
from worker.heartbeat import heartbeat
from worker.prelabelling import prelabel_tasks
from worker.progress import JobProgress
from worker.retraining import retrain_context
from worker.shadowing import shadow_tasks

PATIENCE = STALE.total_seconds() + 10
"""How long a job waits for a run that nobody works on and that cannot be taken up, in seconds."""

log = structlog.get_logger()


def retrain(payload: dict[str, Any]) -> dict[str, Any]:
    """Corrections become a challenger, which is judged and perhaps promoted; see `training.retrain.retrain`."""
    from training.retrain import retrain as training

    order = Retrain(**payload)
    with _job("retrain", project=order.project) as (job_id, tell), open_site() as site:
        runs = Runs(site.engine)
        run, taken = _take_up(runs, order, job_id)
        if run.state in ("promoted", "kept"):  # it was killed after its end, before it could say so
            results = runs.results(run.id)
            summary = results["outcome"]
            both = {each: results[each] for each in ("champion", "challenger")}
            training.conclude(summary, both, context=retrain_context(site))
        elif taken is None:
            raise RunConflict(
                f"run {run.id} is {run.state}, and this process cannot take it up; see its events"
            )
        else:
            summary = _train(run, RunLedger(site.engine, taken), site, tell)
        if summary["promoted"]:
            tell_backends(site.settings.redis_url.get_secret_value(), summary["challenger"])
            site.queue.enqueue_prelabel(PrelabelProject(order.project, summary["challenger"]))
        mirror_if_wanted(site.settings, site.registry)
        log.info("verdict", promoted=summary["promoted"], challenger=summary["challenger"])
        return summary


def _take_up(runs: Runs, order: Retrain, job_id: str) -> tuple[Run, Claim | None]:
    """The run of a job, and the right to work on it. A run of the project that nobody finished is gone on with.

    While another process works on it, which the queue has lost sight of, this one waits: to give up would call a run
    that goes well failed, and leave nobody to go on with it.
    """
    try:
        run = runs.get(job_id)
    except UnknownRun:
        asked = runs.ask(
            order.project, recipe=order.recipe, reason=order.reason, trigger="button", run_id=job_id
        )
        run = runs.get(asked.run)
    deadline = time.monotonic() + PATIENCE
    while (taken := claim(runs, run.id, owner=this_process())) is None:
        run = runs.get(run.id)
        if run.owner is not None:  # it works on it, or dies and leaves it to this one
            deadline = time.monotonic() + PATIENCE
        if not run.active or time.monotonic() > deadline:
            return run, None
        time.sleep(1.0)
    return runs.get(run.id), taken


def _train(run: Run, ledger: RunLedger, site: Site, tell: JobProgress) -> dict[str, Any]:
    """The run proper; whatever stops it is written down in plain words."""

    def report(stage: str, progress: float, message: str) -> None:
        tell(stage, progress, message)
        ledger.beat(stage, progress, message)

    with heartbeat(ledger):
        try:
            return _retrain(Retrain(run.project, run.recipe, run.reason), run.id, ledger, site, report)
        except Cancelled:
            raise
        except Exception as error:
            failure = classify(error)
            tell.fail(failure.sentence)
            ledger.fail(failure)
            raise


def _retrain(
    order: Retrain,
    run: str,
    ledger: RunLedger,
    site: Site,
    report: Callable[[str, float, str], None],
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
    if (count := site.settings.train_processes) > 1:  # said now, not after hours of training the detector
        from training.segmenter.processes import require_shares

        require_shares(count, batch=recipe.segmenter.batch)
    report("dataset", 0.0, "asking Label Studio for what its webhooks did not tell")
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
    """Every task of a project gets a prediction of a model version; see `worker.prelabelling`.

    In the automatic stage some of them become annotations; see `worker.acceptance`.
    """
    order = PrelabelProject(**payload)
    with _job("prelabel", project=order.project) as (_, report), open_site() as site:
        version = order.model_version or site.registry.champion().version
        prelabeller = site.load_model(version)
        done = prelabel_tasks(order.project, prelabeller, site=site, report=report, withheld=site.withholding)
        done["automatic"] = accept_predictions(order.project, version=version, site=site)
        silent = shadow_tasks(order.project, serving=version, site=site, report=report)
        if silent is not None:
            done["shadow"] = silent
        return done


JOBS = {RETRAIN: retrain, PRELABEL: prelabel_project}
"""All that a worker runs, whatever is written into Redis."""


@contextmanager
def _job(name: str, **fields: Any) -> Iterator[tuple[str, JobProgress]]:
    """The id and the progress of the running job; writes down why it fails."""
    job = get_current_job()
    report = JobProgress(job)
    log.info("job_started", job=name, **fields)
    try:
        yield (job.id if job else name), report
    except Exception as error:
        if isinstance(error, MammoError) and not report.failed:
            report.fail(str(error))
        if job is not None:
            job.retries_left = 0  # the restarts are for jobs that were killed; this one would fail again
        log.warning("job_failed", job=name, error=type(error).__name__, **fields)
        raise
