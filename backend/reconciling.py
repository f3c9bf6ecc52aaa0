"""Reconciler: a thread that reconciles the store with Label Studio at start-up and at regular intervals.

It runs in the backend, because a worker may be busy training for hours. If two backends reconcile the same project, the
second one finds nothing to repair.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from backend.metrics import Metrics
from mammo.annotations import Reconciliation
from mammo.errors import MammoError

log = structlog.get_logger()


class Reconciler:
    """Reconciles one project after the other. A failing project does not stop the others."""

    def __init__(
        self,
        reconcile: Callable[[int], Reconciliation],
        *,
        projects: Callable[[], list[int]],
        every: float,
        metrics: Metrics,
        repair_webhook: Callable[[int], list[str]] = lambda _project: [],
    ) -> None:
        """
        Args:
            reconcile: reconciles one project.
            projects: returns the projects to reconcile.
            every: seconds between two rounds; 0: no rounds.
            repair_webhook: repairs a project's webhook; returns its faults.
        """
        self._reconcile = reconcile
        self._projects = projects
        self._every = every
        self._metrics = metrics
        self._repair_webhook = repair_webhook
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reconciler", daemon=True)

    def start(self) -> None:
        if self._every:
            self._thread.start()

    def stop(self) -> None:
        """Stop after the current project."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> None:
        """Reconcile every project once."""
        try:
            projects = self._projects()
        except MammoError as error:
            log.warning("projects could not be listed", code=error.code)
            return
        for project in projects:
            if self._stopped.is_set():
                return
            self._reconcile_project(project)

    def _reconcile_project(self, project: int) -> None:
        try:
            faults = self._repair_webhook(project)  # first, so that later events arrive
            result = self._reconcile(project)
        except MammoError as error:
            self._metrics.reconciliations.labels(outcome="failed").inc()
            log.warning("a project could not be reconciled", project=project, code=error.code)
            return
        except Exception as error:  # one unexpected response of Label Studio must not end the thread
            self._metrics.reconciliations.labels(outcome="failed").inc()
            log.exception("a project could not be reconciled", project=project, error=type(error).__name__)
            return
        self._metrics.reconciliations.labels(outcome="done").inc()
        for kind in ("missing", "stale", "deleted"):
            self._metrics.repaired.labels(kind=kind).inc(getattr(result, kind))
        if faults:
            self._metrics.repaired.labels(kind="webhook").inc()
            log.warning("the webhook was repaired", project=project, wrong=faults)
        if result.repaired:
            log.warning(
                "reconciliation restored corrections whose webhooks were lost",
                project=project,
                count=result.repaired,
            )

    def _work(self) -> None:
        self.round()
        while not self._stopped.wait(self._every):
            self.round()
