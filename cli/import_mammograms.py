"""`yolo-mlsam import`: mammograms become tasks of a Label Studio project."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track

from cli.site_choice import changing_site
from mammo.errors import InvalidSettings
from mammo.exchange.importing import ImportOptions, Outcome, Rules, import_files
from mammo.file_names import files_of
from mammo.images.task_images import task_showing
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.site import Site


def import_command(
    paths: Sequence[Path], *, project: int, twins: Path | None, rules: Rules | None = None
) -> int:
    """Return 0, or 2 if a file was refused. Refused files do not stop the others.

    Args:
        twins: the folder that Label Studio serves as local files; None: that of the settings.

    Raises:
        InvalidSettings: a folder or secret is not set.
        LabelStudioError: Label Studio does not answer or refuses.
    """
    with changing_site() as site:
        client = site.client
        options = ImportOptions(
            root=site.require_mammogram_root(),
            twins=twins or _twin_root(site),
            patient_secret=site.require_patient_secret(),
            rules=rules or Rules(),
        )
        config = client.project(project).get("label_config") or labeling_config()
        tags = ControlTags.read(str(config))
        task_showing({}, tags=tags)  # refuses an unsuitable project before any file is read
        outcome = Outcome()
        try:
            import_files(
                list(files_of(paths)),
                project=project,
                client=client,
                tags=tags,
                options=options,
                outcome=outcome,
                progress=lambda completed, total: track(
                    completed, "Importing", total=total, console=Console(file=sys.stderr)
                ),
            )
        finally:  # also after an interrupt: the same command continues from here
            for line in outcome.refused:
                typer.echo(line, err=True)
            already = f", {outcome.num_known} imported before" if outcome.num_known else ""
            beside = (
                f"; {outcome.num_annotations} files are no images (DICOM Segmentation, JSON)"
                if outcome.num_annotations
                else ""
            )
            typer.echo(f"{outcome.num_new} new tasks in project {project}{already}{beside}")
    return 2 if outcome.refused else 0


def _twin_root(site: Site) -> Path:
    if site.settings.twin_root is None:
        raise InvalidSettings(
            "give --twins, or set YOLO_MLSAM_TWIN_ROOT: the folder that Label Studio serves"
        )
    return site.settings.twin_root
