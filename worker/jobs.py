"""The jobs, as `mammo.jobs` names them. Ids in, one thing done, safe to repeat; torch is imported here and not before.

A job that fails with a reason (a MammoError) leaves its sentence in `meta["error"]`. No failure is tried again; a
job whose worker was stopped or killed is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import structlog
from rq import get_current_job

from mammo.annotations import reconcile
from mammo.errors import InvalidSettings, MammoError
from mammo.jobs import PrelabelProject, Retrain
from mammo.labelstudio.labeling_config import ControlTags
from mammo.stages import StageLog, Withholding
from worker.accepting import accept_predictions
from worker.prelabelling import prelabel_tasks
from worker.progress import JobProgress
from worker.services import services

log = structlog.get_logger()


def retrain(payload: dict[str, Any]) -> dict[str, Any]:
    """Corrections become a challenger, which is judged and perhaps promoted; see `training.retrain`."""
    from training import retrain as training
    from training.recipes import RECIPES

    order = Retrain(**payload)
    with _job("retrain", project=order.project) as (job_id, report), closing(services()) as tools:
        if order.recipe not in RECIPES:
            raise InvalidSettings(f"recipe {order.recipe!r} is not one of {', '.join(RECIPES)}")
        recipe = RECIPES[order.recipe].with_gate(
            primary=tools.settings.gate_primary or None,
            confidence=tools.settings.gate_confidence,
            min_patients=tools.settings.gate_min_patients,
        )
        tags = None
        if tools.settings.label_studio_url:
            report("dataset", 0.0, "asking Label Studio for what its webhooks did not tell")
            reconcile(
                order.project, client=tools.client, store=tools.store, engine=tools.engine, complete=True
            )
            tags = ControlTags.read(tools.client.project(order.project)["label_config"])
        summary = training.retrain(
            order, run=job_id, recipe=recipe, workshop=tools.workshop, report=report, tags=tags
        )
        if summary["promoted"]:
            tools.queue.enqueue_prelabel(PrelabelProject(order.project, summary["challenger"]))
        log.info("verdict", promoted=summary["promoted"], challenger=summary["challenger"])
        return summary


def prelabel_project(payload: dict[str, Any]) -> dict[str, Any]:
    """Every task of a project gets a prediction of a model version; see `worker.prelabelling`.

    In the automatic stage some of them become annotations; see `worker.accepting`.
    """
    order = PrelabelProject(**payload)
    with _job("prelabel", project=order.project) as (_, report), closing(services()) as tools:
        version = order.model_version or tools.registry.champion().version
        prelabeller = tools.load(tools.registry.files(version, into=tools.settings.models))
        done = prelabel_tasks(
            order.project,
            prelabeller,
            client=tools.client,
            store=tools.store,
            open_image=tools.images.open,
            report=report,
            threshold=tools.settings.thresholds.get(order.project),
            polygons=order.project in tools.settings.outlined_projects,
            withheld=Withholding(StageLog(tools.engine), tools.blinding),
        )
        done["automatic"] = accept_predictions(
            order.project,
            version=version,
            client=tools.client,
            account=lambda: tools.service_account,
            store=tools.store,
            engine=tools.engine,
            desk=tools.stages,
            blinding=tools.blinding,
        )
        return done


@contextmanager
def _job(name: str, **fields: Any) -> Iterator[tuple[str, JobProgress]]:
    """The id and the progress of the running job; writes down why it fails."""
    job = get_current_job()
    report = JobProgress(job)
    log.info("job_started", job=name, **fields)
    try:
        yield (job.id if job else name), report
    except Exception as error:
        if isinstance(error, MammoError):
            report.fail(str(error))
        if job is not None:
            job.retries_left = 0  # the restarts are for jobs that were killed; this one would fail again
        log.warning("job_failed", job=name, error=type(error).__name__, **fields)
        raise
