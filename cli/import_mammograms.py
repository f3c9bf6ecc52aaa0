"""`yolo-mlsam import`: mammograms become tasks of a Label Studio project."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import track

from cli.site_choice import changing_site
from mammo.exchange.import_target import Screen
from mammo.exchange.importing import Outcome, Rules
from mammo.file_names import files_of


def import_command(
    paths: Sequence[Path],
    *,
    project: int,
    twins: Path | None,
    rules: Rules | None = None,
    screen: Screen | None = None,
    show_year: bool = False,
) -> int:
    """Return 0, or 2 if a file was refused or fits into no exam. Such files do not stop the others.

    Args:
        twins: the folder that Label Studio serves as local files; None: that of the settings.

    Raises:
        InvalidSettings: a folder or secret is not set, or the project shows something else than `screen`.
        LabelStudioError: Label Studio does not answer or refuses.
    """
    with changing_site() as site:
        outcome = Outcome()
        into = site.import_target(
            project, rules=rules or Rules(), twins=twins, screen=screen, show_year=show_year
        )
        try:
            into.import_(list(files_of(paths)), outcome, _progress)
        finally:  # also after an interrupt: the same command continues from here
            report(outcome, project=project)
    return 2 if outcome.refused or outcome.listed else 0


def report(outcome: Outcome, *, project: int) -> None:
    """Print what was imported, what was refused, and what fits into no exam."""
    for line in outcome.refused:
        typer.echo(line, err=True)
    for line in outcome.listed:
        typer.echo(f"in no exam: {line}", err=True)
    if outcome.listed:
        typer.echo(
            "Images in no exam are not imported. Correct or leave out the files that cause this, or import single "
            "files into a project whose tasks show one image: yolo-mlsam import FILE --screen image --project ID "
            "--twins FOLDER",
            err=True,
        )
    already = f", {outcome.num_known} files imported before" if outcome.num_known else ""
    beside = (
        f"; {outcome.num_annotations} files are no images (DICOM Segmentation, JSON)"
        if outcome.num_annotations
        else ""
    )
    typer.echo(f"{outcome.num_new} new tasks in project {project}{already}{beside}")


def _progress(completed: Iterable[Any], total: int) -> Iterable[Any]:
    return track(completed, "Importing", total=total, console=Console(file=sys.stderr))
