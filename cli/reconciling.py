"""`yolo-mlsam reconcile`: compare the annotation store with Label Studio now, and put its webhooks right."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table

from mammo.annotations import AnnotationStore, reconcile
from mammo.database import open_database
from mammo.errors import InvalidSettings
from mammo.labelstudio import LabelStudioClient
from mammo.settings import Settings


def reconcile_command(projects: Sequence[int], *, complete: bool, as_json: bool) -> None:
    """Reconcile the named projects, or all that the store knows, and print what was repaired.

    The webhook comes first: what happens from then on is told again.
    """
    settings = Settings.load()
    key = settings.label_studio_api_key.get_secret_value()
    if not settings.label_studio_url or not key:
        raise InvalidSettings(
            "set YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY: "
            "the corrections are compared with Label Studio's"
        )
    engine = open_database(settings.database)
    with (
        closing(AnnotationStore(engine)) as store,
        closing(LabelStudioClient(settings.label_studio_url, key)) as client,
    ):
        secret = settings.webhook_secret.get_secret_value()
        reports = []
        for project in projects or store.projects():
            wrong = client.repair_webhook(project, secret=secret) if secret else []
            found = reconcile(project, client=client, store=store, engine=engine, complete=complete)
            reports.append((found, wrong))
    console = Console()
    if as_json:
        console.print_json(
            orjson.dumps([asdict(found) | {"webhook": wrong} for found, wrong in reports]).decode()
        )
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
