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
    recipe: Annotated[
        str, typer.Option(help="Table 1: recipe of every network: paper, starter or table.")
    ] = "table",
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
    table: Annotated[
        int | None, typer.Option(min=3, max=4, help="3: feature sources. 4: encoders. Trains every row.")
    ] = None,
    start: Annotated[
        list[str] | None, typer.Option(help="Tables: weights of a SAM, FILE; for Table 4 also NAME=FILE.")
    ] = None,
    train: Annotated[
        str, typer.Option(help="Tables on phantoms: seeds of patients to train on, as FIRST-LAST.")
    ] = "1000-1019",
    recipe: Annotated[str, typer.Option(help="Tables: recipe of every row.")] = "row",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Tables: networks of every row.")] = 3,
    work: Annotated[
        Path, typer.Option(help="Folder for phantoms, regions and runs.", file_okay=False)
    ] = Path("data/phantoms"),
) -> None:
    """Measure the segmenter given boxes, or make Table 3 or 4 again; a stopped table goes on."""
    from cli.material import shown_progress
    from cli.model_files import find_model
    from cli.segmenter_runs import Comparison, Source, evaluate_table, evaluate_weights
    from mammo.site import Site

    source = Source(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    with shown_progress("evaluate") as tell:
        if table is not None:
            wanted = Comparison(start=start or [], recipe=recipe, seeds=seeds)
            paths = evaluate_table(table, source, wanted, train=train, out=out, tell=tell)
        else:
            file = weights or find_model(model, Site.load()).segmenter
            paths = evaluate_weights(source, file, out=out, tell=tell)
    for path in paths:
        typer.echo(str(path))


def crossval(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown and JSON files.", file_okay=False)],
    start: Annotated[Path, typer.Option(help="Weights of a SAM that both arms begin with.", exists=True)],
    table: Annotated[int, typer.Option(min=5, max=5, help="The paper's Table 5.")] = 5,
    dataset: Annotated[str | None, typer.Option(help="Dataset version (SHA-256); all its folds.")] = None,
    phantoms: Annotated[str | None, typer.Option(help="Seeds of phantom patients instead.")] = None,
    vendor: Annotated[str, typer.Option(help="Look of the phantoms: a, b or c.")] = "a",
    detector: Annotated[
        str, typer.Option(help="Model version whose boxes both arms get; none of its training patients here.")
    ] = "champion",
    folds: Annotated[int, typer.Option(min=2, max=20, help="How many, by patient.")] = 5,
    recipe: Annotated[str, typer.Option(help="Recipe of both arms.")] = "row",
    work: Annotated[Path, typer.Option(help="Folder for phantoms and runs.", file_okay=False)] = Path(
        "data/phantoms"
    ),
) -> None:
    """Cross-validate by patient, end to end: HQ-SAM against Yolo-MLSAM. A stopped run goes on."""
    from cli.material import shown_progress
    from cli.segmenter_runs import Comparison, Source, crossvalidate

    assert table == 5
    source = Source(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    wanted = Comparison(start=[str(start)], recipe=recipe, seeds=1)
    with shown_progress("crossval") as tell:
        paths = crossvalidate(source, wanted, folds=folds, detector=detector, out=out, tell=tell)
    for path in paths:
        typer.echo(str(path))
