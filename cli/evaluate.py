"""`yolo-mlsam evaluate`: measure one network, or make the paper's tables again."""

from __future__ import annotations

from contextlib import ExitStack
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
    table: Annotated[
        int | None, typer.Option(min=1, max=2, help="1: train and compare attentions. 2: sweep thresholds.")
    ] = None,
    train: Annotated[
        str, typer.Option(help="Table 1 on phantoms: seeds of patients to train on, as FIRST-LAST.")
    ] = "1000-1019",
    validation: Annotated[
        str, typer.Option(help="Table 1 on phantoms: seeds of patients that set the thresholds.")
    ] = "2000-2004",
    recipe: Annotated[str, typer.Option(help="Table 1: recipe of every network; paper, or table.")] = "table",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Table 1: networks of every attention.")] = 2,
    work: Annotated[
        Path, typer.Option(help="Folder for phantoms and the runs of Table 1.", file_okay=False)
    ] = Path("data/phantoms"),
) -> None:
    """Measure the detector: FROC, AP, operating point, with 95 % intervals by patient.

    A stopped Table 1 goes on where it was.
    """
    from cli.detector_evaluation import DetectorEvaluation, evaluate_detector_command

    wanted = DetectorEvaluation(
        dataset=dataset,
        phantoms=phantoms,
        vendor=vendor,
        model=model,
        weights=weights,
        threshold=threshold,
        table=table,
        train=train,
        validation=validation,
        recipe=recipe,
        seeds=seeds,
        work=work,
    )
    with ExitStack() as stack:
        for path in evaluate_detector_command(wanted, out=out, stack=stack):
            typer.echo(str(path))
