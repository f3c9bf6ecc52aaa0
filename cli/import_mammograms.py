"""`yolo-mlsam import`: mammograms become tasks of a Label Studio project."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import track

from cli.project.connecting import Screen
from mammo.errors import InvalidSettings
from mammo.exchange.exam_importing import import_exams
from mammo.exchange.exam_tasks import shows_exam
from mammo.exchange.importing import ImportOptions, Outcome, Rules, import_files
from mammo.file_names import files_of
from mammo.images.task_images import task_showing
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.site import Site


def import_command(
    paths: Sequence[Path],
    *,
    project: int,
    twins: Path,
    rules: Rules | None = None,
    screen: Screen | None = None,
    show_year: bool = False,
) -> int:
    """Return 0, or 2 if a file was refused or fits into no exam. Such files do not stop the others."""
    with Site.load() as site:
        client = site.client
        options = ImportOptions(
            root=site.require_mammogram_root(),
            twins=twins,
            patient_secret=site.require_patient_secret(),
            rules=rules or Rules(),
        )
        config = client.project(project).get("label_config") or labeling_config()
        tags = ControlTags.read(str(config))
        files, outcome = list(files_of(paths)), Outcome()
        try:
            if screen_of(tags, screen) == "exam":
                import_exams(
                    files, project=project, client=client, options=options, outcome=outcome,
                    show_year=show_year, progress=_progress,
                )  # fmt: skip
            else:
                task_showing({}, tags=tags)  # refuses an unsuitable project before any file is read
                import_files(
                    files, project=project, client=client, tags=tags, options=options, outcome=outcome,
                    progress=_progress,
                )  # fmt: skip
        finally:  # also after an interrupt: the same command continues from here
            report(outcome, project=project)
    return 2 if outcome.refused or outcome.listed else 0


def screen_of(tags: ControlTags, screen: Screen | None) -> Screen:
    """Return what a task of the project shows.

    Args:
        tags: control tags of the project.
        screen: what the user expects; None: whatever the project shows.

    Raises:
        InvalidSettings: the project's tasks show something else.
    """
    found: Screen = "exam" if shows_exam(tags) else "image"
    if screen is not None and screen != found:
        raise InvalidSettings(
            f"expected a project for --screen {screen}, but the labeling config of this project is for --screen "
            f"{found}; choose another project or leave --screen out"
        )
    return found


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
    typer.echo(f"{outcome.num_new} new tasks in project {project}{already}")


def _progress(completed: Iterable[Any], total: int) -> Iterable[Any]:
    return track(completed, "Importing", total=total, console=Console(file=sys.stderr))
