"""Reconciler: a thread that compares the store with Label Studio at start-up and on a schedule.

It runs in the backend, not in a worker: a worker may be busy training for hours, and corrections must not wait. Two
backends that look at the same project find nothing the second time.
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
    """Looks at every project, one after the other; a project that fails does not keep the others waiting."""

    def __init__(
        self,
        look: Callable[[int], Reconciliation],
        *,
        projects: Callable[[], list[int]],
        every: float,
        metrics: Metrics,
        repair_webhook: Callable[[int], list[str]] = lambda _project: [],
    ) -> None:
        """
        Args:
            look: reconciles one project.
            repair_webhook: puts a project's webhook right; returns what was wrong with it.
            projects: those to look at.
            every: seconds between two rounds; 0: none at all.
        """
        self._look = look
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
        """Stop after the project that is being looked at."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> None:
        """Look at every project once."""
        try:
            projects = self._projects()
        except MammoError as error:
            log.warning("projects could not be listed", code=error.code)
            return
        for project in projects:
            if self._stopped.is_set():
                return
            self._look_at(project)

    def _look_at(self, project: int) -> None:
        try:
            wrong = self._repair_webhook(project)  # first: what happens from now on is told again
            found = self._look(project)
        except MammoError as error:
            self._metrics.reconciliations.labels(outcome="failed").inc()
            log.warning("a project could not be reconciled", project=project, code=error.code)
            return
        except Exception as error:  # one odd answer of Label Studio must not end the schedule
            self._metrics.reconciliations.labels(outcome="failed").inc()
            log.exception("a project could not be reconciled", project=project, error=type(error).__name__)
            return
        self._metrics.reconciliations.labels(outcome="done").inc()
        for kind in ("missing", "stale", "deleted"):
            self._metrics.repaired.labels(kind=kind).inc(getattr(found, kind))
        if wrong:
            self._metrics.repaired.labels(kind="webhook").inc()
            log.warning("the webhook was repaired", project=project, wrong=wrong)
        if found.repaired:
            log.warning(
                "corrections were repaired that no webhook told of", project=project, count=found.repaired
            )

    def _work(self) -> None:
        self.round()
        while not self._stopped.wait(self._every):
            self.round()
