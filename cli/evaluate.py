"""`yolo-mlsam evaluate`: measure one network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

evaluate = typer.Typer(help="Measure one network on a dataset version or on phantoms.", no_args_is_help=True)


@evaluate.callback()
def _group() -> None:
    """Measure one network on a dataset version or on phantoms."""


@evaluate.command("detector")
def evaluate_detector(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown, JSON and PNG files.", file_okay=False)],
    dataset: Annotated[str | None, typer.Option(help="Dataset version (SHA-256); its test fold.")] = None,
    phantoms: Annotated[
        str | None, typer.Option(help="Seeds of phantom patients to judge on instead, as FIRST-LAST.")
    ] = None,
    vendor: Annotated[str, typer.Option(help="Look of the phantoms: a, b or c.")] = "a",
    model: Annotated[
        str, typer.Option(help="Model version: champion, starter or a version of the registry.")
    ] = "champion",
    weights: Annotated[
        Path | None, typer.Option(help="A detector.safetensors instead of a model version.", exists=True)
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.01, max=0.99, help="Operating point; default: the model version's.")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for phantoms.", file_okay=False)] = Path("data/phantoms"),
) -> None:
    """Measure the detector: FROC, AP, operating point, with 95 % intervals by patient."""
    from cli.detector_evaluation import DetectorChoice, evaluate_detector_command
    from cli.material import Source

    source = Source(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    choice = DetectorChoice(model=model, weights=weights)
    for path in evaluate_detector_command(source, choice, threshold=threshold, out=out):
        typer.echo(str(path))


@evaluate.command("segmenter")
def evaluate_segmenter(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown and JSON files.", file_okay=False)],
    dataset: Annotated[str | None, typer.Option(help="Dataset version (SHA-256); its test fold.")] = None,
    phantoms: Annotated[
        str | None, typer.Option(help="Seeds of phantom patients to judge on instead, as FIRST-LAST.")
    ] = None,
    vendor: Annotated[str, typer.Option(help="Look of the phantoms: a, b or c.")] = "a",
    model: Annotated[
        str, typer.Option(help="Model version: champion, starter or a version of the registry.")
    ] = "champion",
    weights: Annotated[
        Path | None, typer.Option(help="A segmenter.safetensors instead of a model version.", exists=True)
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for phantoms and regions.", file_okay=False)] = Path(
        "data/phantoms"
    ),
) -> None:
    """Measure the segmenter, given boxes."""
    from cli.material import Source, shown_progress
    from cli.model_files import find_model
    from cli.segmenter_runs import evaluate_weights
    from mammo.site import Site

    source = Source(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    file = weights or find_model(model, Site.load()).segmenter
    with shown_progress("evaluate") as tell:
        paths = evaluate_weights(source, file, out=out, tell=tell)
    for path in paths:
        typer.echo(str(path))
