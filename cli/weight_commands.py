"""`yolo-mlsam weights`: its commands; the work is in `cli.weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

weights = typer.Typer(help="Public weights that training can start from.", no_args_is_help=True)


@weights.command("list")
def list_weights() -> None:
    """The public weights we know, their hashes and licences, and which are here."""
    from cli.weights import list_weights as run

    run()


@weights.command("add")
def add_weights(
    what: Annotated[str, typer.Argument(help="Name of `weights list`, or a file.", metavar="NAME|FILE")],
    sha256: Annotated[str | None, typer.Option(help="Hash that the file must have.")] = None,
    file: Annotated[Path | None, typer.Option(help="Use this file, download nothing.")] = None,
    known_as: Annotated[
        str | None, typer.Option("--as", help="What a FILE is, when its hash is none we know.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the downloaded original too.")] = False,
) -> None:
    """Fetch public weights, check their hash, and convert them once to safetensors below YOLO_MLSAM_DATA_DIR."""
    from cli.weights import AddOptions
    from cli.weights import add_weights as run

    run(AddOptions(what=what, sha256=sha256, file=file, known_as=known_as, keep=keep))
