"""`yolo-mlsam reconcile`: compare the annotation store with Label Studio now, mend its webhooks, read it anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from cli.rereading import reread_project, show_rereading
from mammo.annotations import Reconciliation
from mammo.errors import MammoError
from mammo.site import Site
from training.datasets.reread_result import Rereading


def reconcile_command(projects: Sequence[int], *, complete: bool, as_json: bool, read_anew: bool) -> None:
    """Reconcile the named projects, or all that the store knows; print what was repaired and what is read otherwise.

    The webhook comes first: what happens from then on is told again.

    Args:
        complete: look at every task.
        read_anew: compare what the annotations mean now with the newest dataset version.
    """
    with Site.load() as site:
        client, secret = site.client, site.settings.webhook_secret.get_secret_value()
        reports: list[tuple[Reconciliation, list[str]]] = []
        rereadings: dict[int, Rereading | MammoError] = {}
        for project in projects or site.store.projects():
            wrong = client.repair_webhook(project, secret=secret) if secret else []
            reports.append((site.reconcile(project, complete=complete), wrong))
        for found, _ in reports if read_anew else []:
            try:
                rereadings[found.project] = reread_project(found.project, site=site)
            except MammoError as error:  # the repairs are reported all the same
                rereadings[found.project] = error
    console = Console()
    if as_json:
        told = [
            asdict(found) | {"webhook": wrong} | _in_json(rereadings.get(found.project))
            for found, wrong in reports
        ]
        console.print_json(orjson.dumps(told).decode())
        return
    if not reports:
        console.print("no project is known yet: name one, or wait for its first event")
        return
    table = Table("project", "looked at", "tasks", "missing", "stale", "deleted", "webhook")
    for report, wrong in reports:
        looked = "all" if report.complete else "changed since the last time"
        numbers = (report.tasks, report.missing, report.stale, report.deleted)
        table.add_row(
            str(report.project), looked, *map(str, numbers), f"was {', '.join(wrong)}" if wrong else ""
        )
    console.print(table)
    plain = Console(markup=False, highlight=False)
    for project, each in rereadings.items():
        if isinstance(each, MammoError):
            plain.print(f"project {project}: annotations were not read anew: {each}", soft_wrap=True)
        else:
            show_rereading(each, console=plain)


def _in_json(told: Rereading | MammoError | None) -> dict[str, Any]:
    if told is None:
        return {}
    if isinstance(told, MammoError):
        return {"reread": None, "reread_problem": f"{told.code}: {told}"}
    return {"reread": told.to_json()}
