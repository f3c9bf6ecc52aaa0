"""The commands of `yolo-mlsam backgrounds`; see `cli.backgrounds`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

backgrounds = typer.Typer(
    help="Add, list and remove background images, into which the training inserts phantom clusters.",
    no_args_is_help=True,
)


@backgrounds.command("list")
def list_backgrounds() -> None:
    """List the background sets: images, patients, pixel spacing, licence, and whether their weights may ship."""
    from cli.backgrounds import list_backgrounds as run

    run()


@backgrounds.command("add")
def add_backgrounds(
    target: Annotated[
        str, typer.Argument(help="A public set, monai or birads, or a folder.", metavar="monai|birads|FOLDER")
    ],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="Public set: take its files from this folder instead of a download."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Folder: name of the set.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Folder: what the images may be used for, in your words.")
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(help="Folder: pixel spacing in mm of files that do not state it.", min=0.01, max=1.0),
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            help="Folder: CSV table with the columns file and patient.", exists=True, dir_okay=False
        ),
    ] = None,
    allow_identified: Annotated[
        bool,
        typer.Option(
            "--allow-identified",
            help="Folder: accept DICOM files that identify their patient; they are stored de-identified.",
        ),
    ] = False,
) -> None:
    """Add a public set, checked by SHA-256, or your own mammograms without suspicious calcifications.

    Exit code 2: some files were refused.
    """
    from cli.backgrounds import AddOptions
    from cli.backgrounds import add_backgrounds as run

    options = AddOptions(
        target=target,
        given=given,
        name=name,
        licence=licence,
        spacing=spacing,
        patients=patients,
        allow_identified=allow_identified,
    )
    raise typer.Exit(run(options))


@backgrounds.command("remove")
def remove_backgrounds(
    name: Annotated[str, typer.Argument(help="Name from `backgrounds list`.")],
) -> None:
    """Remove a background set and its images from YOLO_MLSAM_DATA_DIR."""
    from cli.backgrounds import remove_backgrounds as run

    run(name)
