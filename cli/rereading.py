"""What stored annotations mean now, against the newest dataset version: read, and printed for a person."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.images.task_images import TaskImages
from mammo.labelstudio.project_tags import TagsLookup
from mammo.settings import Settings
from training.datasets.reread_result import FindingChange, Reread, Rereading
from training.datasets.rereading import reread
from training.datasets.sources import preference

MAX_ROWS = 20
"""Annotations that are shown to a person one by one; `--json` has all."""

CLIPPED = 120
"""Characters of a reason that are shown."""


def reread_project(
    project: int, *, settings: Settings, store: AnnotationStore, engine: Engine, tags: TagsLookup
) -> Rereading:
    """Read a project's annotations anew; how far it is goes to stderr.

    Raises:
        LabelStudioError, InvalidRegion: what the project calls a cluster is not known.
        InvalidSettings: `YOLO_MLSAM_DATASET_SOURCES` names something else.
    """
    files = TaskImages(root=settings.mammogram_root, downloads=None)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[message]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(f"reading project {project} anew", total=1.0, message="")
        return reread(
            project,
            store=store,
            engine=engine,
            blobs=Blobs(settings.blobs),
            tags=tags(project),
            prefer=preference(settings.dataset_sources),
            fingerprint=files.fingerprint,
            progress=lambda fraction, message: bars.update(bar, completed=fraction, message=message),
        )


def show_rereading(told: Rereading, *, console: Console) -> None:
    """The totals, and the annotations that the next dataset version has otherwise."""
    console.print(f"project {told.project}: {told.sentence}", soft_wrap=True)
    shown = [*told.different, *(row for row in told.rows if row.state == "refused" and not row.matters)]
    if not shown:
        return
    table = Table("task", "annotation", "now", "findings", "what")
    for row in shown[:MAX_ROWS]:
        counts = " → ".join("-" if count is None else str(count) for count in (row.before, row.now))
        table.add_row(str(row.task), str(row.annotation), row.state, counts, _what(row))
    console.print(table)
    if len(shown) > MAX_ROWS:
        console.print(f"and {len(shown) - MAX_ROWS} more; --json names all")


def _what(row: Reread) -> str:
    if row.code:
        text = f"{row.code}: {row.reason}"
        return text if len(text) <= CLIPPED else f"{text[: CLIPPED - 1]}…"
    said = [_change(each) for each in row.changes]
    said += [f"{row.deleted} deleted by a part"] if row.deleted else []
    said += [f"{row.crumbs} parts too small to be meant"] if row.crumbs else []
    return "; ".join(said)


def _change(change: FindingChange) -> str:
    """Such as `gone: no. 2 at 60,20-90,60`; of a new finding the number is that of the present reading."""
    x0, y0, x1, y1 = change.box
    where = f" on {change.image}" if change.image else ""
    overlap = "" if change.overlap is None else f", {change.overlap:.2f} of it the same"
    return f"{change.kind}: no. {change.number} at {x0},{y0}-{x1},{y1}{where}{overlap}"
