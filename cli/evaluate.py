"""`yolo-mlsam evaluate` and `crossval`: measure one network, or make the paper's tables again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

evaluate = typer.Typer(help="Measure one network on a dataset version or on phantoms.", no_args_is_help=True)

Dataset = Annotated[
    str | None, typer.Option(help="Dataset version (SHA-256), whose test fold to measure on.")
]
Phantoms = Annotated[
    str | None, typer.Option(help="Seeds of phantom patients to measure on instead, as FIRST-LAST.")
]
Vendor = Annotated[str, typer.Option(help="Appearance of the phantoms: a, b or c.")]
Model = Annotated[str, typer.Option(help="Model version: champion, starter or a version of the registry.")]
Work = Annotated[Path, typer.Option(help="Folder for phantoms, ROIs and runs.", file_okay=False)]


@evaluate.callback()
def _group() -> None:
    """Measure one network on a dataset version or on phantoms."""


@evaluate.command("detector")
def evaluate_detector(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown, JSON and PNG files.", file_okay=False)],
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    vendor: Vendor = "a",
    model: Model = "champion",
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
        str, typer.Option(help="Table 1 on phantoms: seeds of patients to set the thresholds on.")
    ] = "2000-2004",
    recipe: Annotated[
        str, typer.Option(help="Table 1: recipe of every network: paper, starter or table.")
    ] = "table",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Table 1: number of networks per attention.")] = 2,
    work: Work = Path("data/phantoms"),
) -> None:
    """Measure the detector: FROC, AP and operating point, with 95 % intervals by patient.

    The same command continues an interrupted Table 1.
    """
    from cli.case_source import CaseSource
    from cli.detector_evaluation import DetectorEvaluation
    from cli.detector_evaluation import evaluate_detector as run

    options = DetectorEvaluation(
        source=CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work),
        model=model,
        weights=weights,
        threshold=threshold,
        table=table,
        train=train,
        validation=validation,
        recipe=recipe,
        seeds=seeds,
    )
    _print(run(options, out=out))


@evaluate.command("segmenter")
def evaluate_segmenter(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown and JSON files.", file_okay=False)],
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    vendor: Vendor = "a",
    model: Model = "champion",
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
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Tables: number of networks per row.")] = 3,
    work: Work = Path("data/phantoms"),
) -> None:
    """Measure the segmenter on given boxes, or make Table 3 or 4 again.

    The same command continues an interrupted table.
    """
    from cli.case_source import CaseSource
    from cli.segmenter_evaluation import Comparison, evaluate_table, evaluate_weights
    from mammo.site import Site

    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    if table is not None:
        comparison = Comparison(start=start or [], recipe=recipe, seeds=seeds)
        _print(evaluate_table(table, source, comparison, train=train, out=out))
        return
    _print(evaluate_weights(source, weights or Site.load().model_files(model).segmenter, out=out))


def crossval(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown and JSON files.", file_okay=False)],
    start: Annotated[Path, typer.Option(help="Weights of a SAM that both arms begin with.", exists=True)],
    table: Annotated[int, typer.Option(min=5, max=5, help="The paper's Table 5.")] = 5,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset version (SHA-256), of which all folds are used.")
    ] = None,
    phantoms: Annotated[
        str | None, typer.Option(help="Seeds of phantom patients instead, as FIRST-LAST.")
    ] = None,
    vendor: Vendor = "a",
    detector: Annotated[
        str,
        typer.Option(
            help="Model version that detects the boxes for both arms; not trained on these patients."
        ),
    ] = "champion",
    folds: Annotated[int, typer.Option(min=2, max=20, help="Number of folds, split by patient.")] = 5,
    recipe: Annotated[str, typer.Option(help="Recipe of both arms.")] = "row",
    work: Work = Path("data/phantoms"),
) -> None:
    """Cross-validate HQ-SAM against Yolo-MLSAM end to end, by patient.

    The same command continues an interrupted run.
    """
    from cli.case_source import CaseSource
    from cli.segmenter_evaluation import Comparison, crossvalidate

    assert table == 5
    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    comparison = Comparison(start=[str(start)], recipe=recipe, seeds=1)
    _print(crossvalidate(source, comparison, folds=folds, detector=detector, out=out))


def _print(paths: Sequence[Path]) -> None:
    for path in paths:
        typer.echo(str(path))
