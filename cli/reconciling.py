"""`yolo-mlsam reconcile`: reconcile the store with Label Studio, repair its webhooks, and reread the annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from rich.table import Table

from cli.rereading import print_rereading, reread_project
from cli.text_console import text_console
from mammo.annotations import Reconciliation
from mammo.errors import MammoError
from mammo.site import Site
from training.datasets.reread_result import Rereading


def reconcile_command(projects: Sequence[int], *, complete: bool, as_json: bool, read_anew: bool) -> None:
    """Reconcile the given projects, or all in the store; print the repairs, and what is now read differently.

    The webhook is repaired first, so that later events arrive.

    Args:
        complete: compare every task.
        read_anew: also reread the annotations, and compare them with the newest dataset version.
    """
    with Site.load() as site:
        client, secret = site.client, site.settings.webhook_secret.get_secret_value()
        reports: list[tuple[Reconciliation, list[str]]] = []
        rereadings: dict[int, Rereading | MammoError] = {}
        for project in projects or site.store.projects():
            faults = client.repair_webhook(project, secret=secret) if secret else []
            reports.append((site.reconcile(project, complete=complete), faults))
        for report, _ in reports if read_anew else []:
            try:
                rereadings[report.project] = reread_project(report.project, site=site)
            except MammoError as error:  # the repairs are printed nevertheless
                rereadings[report.project] = error
    console = text_console()
    if as_json:
        rows = [
            asdict(report) | {"webhook": faults} | _to_json(rereadings.get(report.project))
            for report, faults in reports
        ]
        console.print_json(orjson.dumps(rows).decode())
        return
    if not reports:
        console.print("the store has no project yet; name one, or wait for its first event")
        return
    table = Table("project", "compared", "tasks", "missing", "stale", "deleted", "webhook")
    for report, faults in reports:
        compared = "all" if report.complete else "changed since the last time"
        numbers = (report.tasks, report.missing, report.stale, report.deleted)
        webhook = f"was {', '.join(faults)}" if faults else ""
        table.add_row(str(report.project), compared, *map(str, numbers), webhook)
    console.print(table)
    plain = text_console(highlight=False)
    for project, each in rereadings.items():
        if isinstance(each, MammoError):
            plain.print(f"project {project}: annotations could not be reread: {each}", soft_wrap=True)
        else:
            print_rereading(each, console=plain)


def _to_json(rereading: Rereading | MammoError | None) -> dict[str, Any]:
    if rereading is None:
        return {}
    if isinstance(rereading, MammoError):
        return {"reread": None, "reread_problem": f"{rereading.code}: {rereading}"}
    return {"reread": rereading.to_json()}
