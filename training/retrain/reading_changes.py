"""Log how the annotations of a project are interpreted differently than in its newest dataset version."""

from __future__ import annotations

import structlog

from mammo.errors import Cancelled, MammoError
from training.cases import Progress
from training.datasets.rereading import reread
from training.retrain.context import RetrainRun

log = structlog.get_logger()


def log_reading_changes(run: RetrainRun, progress: Progress) -> None:
    """Compare with the newest dataset version and log the differences; no difference or failure stops the run."""
    context = run.context
    try:
        rereading = reread(
            run.request.project,
            store=context.store,
            engine=context.engine,
            blobs=context.blobs,
            options=run.read_options,
            fingerprint=context.fingerprint,
            progress=lambda _, message: progress(0.0, f"read again: {message}"),
        )
    except Cancelled:
        raise
    except MammoError as error:  # building the dataset version raises it again if it matters
        run.ledger.log(f"annotations could not be compared with the newest dataset version: {error}")
        return
    if not rereading.read_otherwise and not rereading.different and not rereading.problem:
        return
    run.ledger.log(rereading.sentence)
    if rereading.problem:
        return
    log.warning(
        "annotations are interpreted differently than in the newest dataset version",
        project=run.request.project,
        dataset_version=rereading.version,
        refused_that_were_held=rereading.refused_that_were_held,
        **rereading.counts,
        **{f"findings_{kind}": count for kind, count in rereading.findings.items()},
    )
