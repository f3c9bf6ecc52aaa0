"""Rereading of stored annotations, compared with the newest dataset version, and its printed report."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from cli.progress import progress_bar
from mammo.site import Site
from training.datasets.reread_result import FindingChange, Reread, Rereading
from training.datasets.rereading import reread
from training.datasets.sources import ReadOptions, preference

MAX_ROWS = 20
"""Most annotations printed one by one; `--json` has all."""

MAX_REASON = 120
"""Most characters of a reason that are printed."""


def reread_project(project: int, *, site: Site) -> Rereading:
    """Read a project's annotations again, with a progress bar on stderr.

    Raises:
        LabelStudioError, InvalidRegion: the labels that mean a cluster are unknown.
        InvalidSettings: `YOLO_MLSAM_DATASET_SOURCES` has an invalid value.
    """
    with progress_bar(f"rereading project {project}", transient=True) as progress:
        return reread(
            project,
            store=site.store,
            engine=site.engine,
            blobs=site.blobs,
            options=ReadOptions(
                tags=site.tags(project),
                prefer=preference(site.settings.dataset_sources),
                with_automatic=site.settings.train_on_automatic,
            ),
            fingerprint=site.images.fingerprint,
            progress=progress,
        )


def print_rereading(rereading: Rereading, *, console: Console) -> None:
    """Print the totals, and the annotations that the next dataset version will read differently."""
    console.print(f"project {rereading.project}: {rereading.sentence}", soft_wrap=True)
    refused = (row for row in rereading.rows if row.state == "refused" and not row.matters)
    rows = [*rereading.different, *refused]
    if not rows:
        return
    table = Table("task", "annotation", "now", "findings", "details")
    for row in rows[:MAX_ROWS]:
        counts = " → ".join("-" if count is None else str(count) for count in (row.before, row.now))
        table.add_row(str(row.task), str(row.annotation), row.state, counts, _details(row))
    console.print(table)
    if len(rows) > MAX_ROWS:
        console.print(f"and {len(rows) - MAX_ROWS} more; --json lists all")


def _details(row: Reread) -> str:
    if row.code:
        text = f"{row.code}: {row.reason}"
        return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"
    parts = [_change(change) for change in row.changes]
    parts += [f"{row.deleted} deleted with one of their parts"] if row.deleted else []
    parts += [f"{row.crumbs} parts too small to be drawn on purpose"] if row.crumbs else []
    return "; ".join(parts)


def _change(change: FindingChange) -> str:
    """Describe a change, such as `gone: no. 2 at 60,20-90,60`. A new finding has its number in the new reading."""
    x0, y0, x1, y1 = change.box
    where = f" on {change.image}" if change.image else ""
    overlap = "" if change.overlap is None else f", {change.overlap:.2f} of it the same"
    return f"{change.kind}: no. {change.number} at {x0},{y0}-{x1},{y1}{where}{overlap}"
