"""The command `yolo-mlsam import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def import_mammograms(
    files: Annotated[
        list[Path], typer.Argument(help="DICOM files or folders.", metavar="FILE...", readable=False)
    ],
    project: Annotated[int, typer.Option(help="Label Studio project id.")],
    twins: Annotated[
        Path, typer.Option(help="Folder that Label Studio serves as local files, for the 8-bit twins.")
    ],
    allow_identified: Annotated[
        bool, typer.Option("--allow-identified", help="Accept files that identify their patient.")
    ] = False,
    convert_for_processing: Annotated[
        bool,
        typer.Option(
            "--convert-for-processing",
            help="Also accept raw detector values, and convert them.",
        ),
    ] = False,
    screen: Annotated[
        Literal["exam", "image"] | None,
        typer.Option(help="What a task shows; default: what the project's labeling config shows."),
    ] = None,
    show_year: Annotated[
        bool, typer.Option("--show-year", help="exam: state the year of the exam in the header of its page.")
    ] = False,
) -> None:
    """Import DICOM files below YOLO_MLSAM_MAMMOGRAM_ROOT as tasks of one image or one exam, with 8-bit twins.

    Exit code 2: some files were refused, or belong to no exam.
    """
    from cli.import_mammograms import import_command
    from mammo.exchange.importing import Rules

    rules = Rules(allow_identified=allow_identified, convert_for_processing=convert_for_processing)
    raise typer.Exit(
        import_command(files, project=project, twins=twins, rules=rules, screen=screen, show_year=show_year)
    )
