"""What somebody asks of the PACS over HTTP, by program or on the console: searches, imports, and results for it.

A search is answered at once, within a deadline, and nothing of it is kept. Imports and results are jobs of the queue
`light`, because a worker, not a request, may take hours.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from backend.services import Services
from mammo.audit import Action, append
from mammo.database import writing
from mammo.errors import ImportConflict, InvalidSettings, MammoError, StorageUnavailable
from mammo.exchange.importing import Rules
from mammo.labelstudio.existing_projects import require_project
from mammo.pacs import Query
from mammo.pacs.hurried import HurriedPacs
from mammo.pacs.import_log import PacsImport
from mammo.pacs.import_order import ImportOrder
from mammo.pacs.query import find_studies, images_of
from mammo.pacs.studies import FoundStudy, by_study
from mammo.result_kinds import ResultKind
from mammo.runs.jobs import ACTIVE, Enqueued, JobStatus, import_job
from mammo.runs.payloads import ImportFromPacs, SendResults
from mammo.site import Site

MAX_SEARCHES = 2
"""Searches at once; the PACS serves a hospital."""

SEARCH_SECONDS = 60.0
"""Time limit of a search; the request that it meets may take `mammo.pacs.client.PATIENCE` longer."""


@dataclass(frozen=True)
class ImportProgress:
    """An import, and how far it is."""

    asked: PacsImport
    status: JobStatus | None
    """Of its job, while it waits or runs; None if it has ended, or the queue does not answer."""

    @property
    def state(self) -> str:
        """`queued`, `started`, `finished`, `failed`, `stopped` by a person, `interrupted` (its job is gone), or
        `unknown` (the queue does not answer)."""
        if self.asked.state != "waiting":
            return self.asked.state
        if self.status is None:
            return "unknown"
        return self.status.state if self.status.state in ACTIVE else "interrupted"

    @property
    def has_ended(self) -> bool:
        """Whether it may be continued, or begun again to take what is new."""
        return self.state in ("finished", "failed", "stopped", "interrupted")

    def to_json(self) -> dict[str, Any]:
        status = self.status
        progress = {"progress": status.progress, "message": status.message} if status else {}
        return {**self.asked.to_json(), "state": self.state, **progress}


def why_no_import(services: Services) -> str | None:
    """Return what must be set before images can be imported from the PACS; None if all is."""
    site = services.site
    try:
        _ = site.pacs, site.client, site.require_mammogram_root(), site.require_twin_root(), site.pacs_imports
    except InvalidSettings as error:
        return str(error)
    return None


@dataclass(frozen=True, kw_only=True)
class Found:
    """Answer to a search. Identifies patients."""

    studies: list[FoundStudy]
    """Of one page, without those that have no image that meets the query."""

    num_all: int
    """Studies of all pages, whatever their images are."""


def search(services: Services, query: Query, *, priors: bool, limit: int, offset: int, actor: str) -> Found:
    """Return the studies of the PACS that meet a query. That somebody searched is in the audit trail, not for whom.

    Raises:
        InvalidSettings: no PACS is set.
        PacsError: the PACS does not answer, refuses, or takes too long (code `pacs_long_search`).
    """
    pacs = HurriedPacs(pacs=services.site.pacs_for_people, seconds=SEARCH_SECONDS)
    found = find_studies(pacs, query)
    studies = by_study(images_of(pacs, found[offset : offset + limit], query, priors=priors))
    _record(services.site, actor, "PACS searched", subject="PACS", reason=f"{len(studies)} studies shown")
    return Found(studies=studies, num_all=len(found))


def start_import(services: Services, project: int, order: ImportOrder, *, actor: str) -> int:
    """Enqueue an import into a project; return its number.

    Raises:
        UnknownProject: Label Studio has no such project.
        InvalidSettings: PACS, folders or secret are not set, or the project shows no mammograms, or exams of which the
            order would take a part.
        ImportConflict: another import into the project is active.
        StorageUnavailable: Redis does not answer.
    """
    site = services.site
    require_project(site.label_studio, project)
    importer = site.pacs_importer(site.import_target(project, rules=Rules()))
    importer.require_possible(order)  # refuses now what the job would refuse later
    number = site.pacs_imports.add(order, project=project, actor=actor)
    try:
        _enqueue(site, project, number)
    except MammoError:
        site.pacs_imports.remove(number)
        raise
    reason = f"import {number} from the PACS: {order.what}"
    _record(site, actor, "import started", subject=f"project {project}", reason=reason)
    return number


def continue_import(site: Site, number: int, *, actor: str) -> None:
    """Enqueue an import that has ended once more: it continues, or takes what is new at the PACS.

    Raises:
        UnknownImport: there is none of this number.
        ImportConflict: it is active, or another import into its project is.
        StorageUnavailable: Redis does not answer.
    """
    imports = site.pacs_imports
    found = imports.get(number)
    imports.reopen(number)
    try:
        _enqueue(site, found.project, number)
    except MammoError:
        imports.restore(found)
        raise
    reason = f"import {number} from the PACS: {found.what}"
    _record(site, actor, "import continued", subject=f"project {found.project}", reason=reason)


def stop_import(site: Site, number: int, *, actor: str) -> None:
    """Stop an import that waits or runs, within one image; it can be continued.

    Raises:
        UnknownImport: there is none of this number.
        ImportConflict: it has ended.
    """
    site.make_room()
    site.pacs_imports.stop(number, actor=actor)
    # Where the queue does not answer: the job sees that it was stopped, once a worker takes it.
    with suppress(StorageUnavailable):
        site.queue.drop(import_job(number))


def progress_of(services: Services, asked: PacsImport) -> ImportProgress:
    """Return how far an import is."""
    status = None
    if asked.state == "waiting":
        with suppress(StorageUnavailable):
            status = services.queue.status(import_job(asked.id))
    return ImportProgress(asked, status)


def send_results(services: Services, project: int, kind: ResultKind, *, actor: str) -> Enqueued:
    """Enqueue the sending of a project's results, unless one of the kind is active.

    Raises:
        UnknownProject: Label Studio has no such project.
        InvalidSettings: neither PACS nor Label Studio may be missing from the settings.
        StorageUnavailable: Redis does not answer.
    """
    _ = services.site.pacs, services.site.client
    require_project(services.site.label_studio, project)
    enqueued = services.queue.enqueue_results(SendResults(project, kind, actor))
    if enqueued.created:
        _record(
            services.site,
            actor,
            "results sent",
            subject=f"project {project}",
            reason=f"to the PACS as {kind}",
        )
    return enqueued


def retry(services: Services, *, actor: str) -> int:
    """Make due now what waits for the PACS after a failed attempt; return the number of results.

    Raises:
        InvalidSettings: no PACS is set.
    """
    site = services.site
    _ = site.pacs
    return site.pacs_results.outbox.hasten(now=site.pacs_results.clock(), actor=actor)


def _enqueue(site: Site, project: int, number: int) -> None:
    """Raises ImportConflict: the import is active, or another one into the project."""
    enqueued = site.queue.enqueue_pacs_import(ImportFromPacs(project, number))
    if not enqueued.created:
        raise ImportConflict(
            f"an import into project {project} is active ({enqueued.job_id}); wait until it has ended"
        )


def _record(site: Site, actor: str, action: Action, *, subject: str, reason: str) -> None:
    site.make_room()
    with writing(site.engine) as connection:
        append(connection, actor=actor, action=action, subject=subject, reason=reason)
