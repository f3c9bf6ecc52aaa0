"""The commands of `yolo-mlsam weights`; see `cli.weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

weights = typer.Typer(help="List and add public weights to start training from.", no_args_is_help=True)


@weights.command("list")
def list_weights() -> None:
    """List the known public weights, with hash, licence, and whether they have been added."""
    from cli.weights import list_weights as run

    run()


@weights.command("add")
def add_weights(
    target: Annotated[str, typer.Argument(help="Name from `weights list`, or a file.", metavar="NAME|FILE")],
    sha256: Annotated[str | None, typer.Option(help="SHA-256 that the file must have.")] = None,
    file: Annotated[Path | None, typer.Option(help="Use this file instead of a download.")] = None,
    known_as: Annotated[
        str | None, typer.Option("--as", help="Name from `weights list` for a FILE with an unknown hash.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Also keep the downloaded file.")] = False,
) -> None:
    """Download public weights, check their hash, and convert them to safetensors below YOLO_MLSAM_DATA_DIR."""
    from cli.weights import AddOptions
    from cli.weights import add_weights as run

    run(AddOptions(target=target, sha256=sha256, file=file, known_as=known_as, keep=keep))
