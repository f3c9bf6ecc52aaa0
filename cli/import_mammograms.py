"""`yolo-mlsam import`: mammograms become tasks of a Label Studio project."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import typer
from rich.console import Console
from rich.progress import track

from cli.project.connecting import Screen
from cli.site_choice import changing_site
from mammo.errors import InvalidSettings
from mammo.exchange.exam_importing import import_exams
from mammo.exchange.exam_tasks import shows_exam
from mammo.exchange.importing import ImportOptions, Outcome, Rules, import_files
from mammo.file_names import files_of
from mammo.images.task_images import task_showing
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.site import Site


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
        into = Project.of(
            site, project, twins=twins, rules=rules or Rules(), screen=screen, show_year=show_year
        )
        try:
            into.import_(list(files_of(paths)), outcome)
        finally:  # also after an interrupt: the same command continues from here
            report(outcome, project=project)
    return 2 if outcome.refused or outcome.listed else 0


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project that files are imported into."""

    id: int
    client: LabelStudioClient
    tags: ControlTags
    options: ImportOptions
    screen: Screen
    show_year: bool

    @classmethod
    def of(
        cls,
        site: Site,
        project: int,
        *,
        twins: Path | None,
        rules: Rules,
        screen: Screen | None,
        show_year: bool,
    ) -> Self:
        """Return a project that takes mammograms; raises as `import_command`."""
        options = ImportOptions(
            root=site.require_mammogram_root(),
            twins=twins or _twin_root(site),
            patient_secret=site.require_patient_secret(),
            rules=rules,
        )
        config = site.client.project(project).get("label_config") or labeling_config()
        tags = ControlTags.read(str(config))
        shown = screen_of(tags, screen)
        if shown == "image":
            task_showing({}, tags=tags)  # refuses an unsuitable project before any file is read
        return cls(
            id=project, client=site.client, tags=tags, options=options, screen=shown, show_year=show_year
        )

    def import_(self, files: Sequence[Path], outcome: Outcome) -> None:
        """Import files; `outcome` is filled in meanwhile. Raises LabelStudioError: Label Studio refuses."""
        if self.screen == "exam":
            import_exams(
                files, project=self.id, client=self.client, options=self.options, outcome=outcome,
                show_year=self.show_year, progress=_progress,
            )  # fmt: skip
        else:
            import_files(
                files, project=self.id, client=self.client, tags=self.tags, options=self.options,
                outcome=outcome, progress=_progress,
            )  # fmt: skip


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
    beside = (
        f"; {outcome.num_annotations} files are no images (DICOM Segmentation, JSON)"
        if outcome.num_annotations
        else ""
    )
    typer.echo(f"{outcome.num_new} new tasks in project {project}{already}{beside}")


def _twin_root(site: Site) -> Path:
    if site.settings.twin_root is None:
        raise InvalidSettings(
            "give --twins, or set YOLO_MLSAM_TWIN_ROOT: the folder that Label Studio serves"
        )
    return site.settings.twin_root


def _progress(completed: Iterable[Any], total: int) -> Iterable[Any]:
    return track(completed, "Importing", total=total, console=Console(file=sys.stderr))
