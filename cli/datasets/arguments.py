"""Arguments of `yolo-mlsam import-dataset`; the rest is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_dataset(
    kind: Annotated[str, typer.Argument(help="cbis-ddsm, inbreast, vindr, mias, coco, folder or yolo.")],
    folder: Annotated[
        Path, typer.Argument(help="The data set, as it was unpacked.", exists=True, file_okay=False)
    ],
    project: Annotated[int | None, typer.Option(help="Label Studio project id.")] = None,
    twins: Annotated[
        Path | None, typer.Option(help="Folder that Label Studio serves as local files.")
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(help="Millimetres per pixel, where neither file nor data set says.", min=0.01, max=1.0),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="coco, yolo: the category that means a cluster, when its name does not say."),
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="coco, folder, yolo: regular expression; its group is the patient in a file's path. No default."
        ),
    ] = None,
    one_patient: Annotated[
        bool,
        typer.Option("--one-patient", help="coco, folder, yolo: every image is of one and the same person."),
    ] = False,
    boxes_only: Annotated[
        bool,
        typer.Option("--boxes-only", help="Keep only the box of every mask, for a project of rectangles."),
    ] = False,
    allow_identified: Annotated[
        bool,
        typer.Option(
            "--allow-identified", help="coco, folder, yolo: take files that still name their patient."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would come in, and what not and why.")
    ] = False,
) -> None:
    """Turn a data set into tasks with annotations and patient keys. Exit code 2: some of it was refused."""
    from cli.datasets.command import import_dataset_command
    from cli.datasets.contents import DatasetOptions

    options = DatasetOptions(
        kind=kind,
        folder=folder,
        project=project,
        twins=twins,
        spacing_mm=spacing,
        label=label,
        patient_pattern=patient_pattern,
        one_patient=one_patient,
        boxes_only=boxes_only,
        allow_identified=allow_identified,
        dry_run=dry_run,
    )
    raise typer.Exit(import_dataset_command(options))
