"""`python -m benchmarks.paper`: make a table of the paper again, on a dataset version or on phantoms.

A stopped table goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.paper import runs
from cli.case_source import CaseSource
from cli.detector_evaluation import DetectorChoice
from cli.progress import progress_bar
from mammo.errors import MammoError
from training.cases import Progress

app = typer.Typer(help="Make the paper's tables again.", no_args_is_help=True, add_completion=False)

Out = Annotated[Path, typer.Option(help="Folder for the Markdown, JSON and PNG files.", file_okay=False)]
Dataset = Annotated[str | None, typer.Option(help="Dataset version (SHA-256).")]
Phantoms = Annotated[str | None, typer.Option(help="Seeds of phantom patients instead, as FIRST-LAST.")]
Vendor = Annotated[str, typer.Option(help="Appearance of the phantoms: a, b or c.")]
Work = Annotated[Path, typer.Option(help="Folder for phantoms, regions and runs.", file_okay=False)]
Train = Annotated[str, typer.Option(help="On phantoms: seeds of patients to train on.")]
Start = Annotated[list[str] | None, typer.Option(help="Weights of a SAM, FILE; for Table 4 also NAME=FILE.")]
WORK = Path("data/phantoms")


@app.command("detector")
def detector(
    out: Out,
    table: Annotated[int, typer.Option(min=1, max=2, help="1: attentions, each trained. 2: thresholds.")],
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    vendor: Vendor = "a",
    model: Annotated[str, typer.Option(help="Table 2: model version.")] = "champion",
    weights: Annotated[
        Path | None, typer.Option(help="Table 2: a detector.safetensors instead.", exists=True)
    ] = None,
    train: Train = "1000-1019",
    validation: Annotated[
        str, typer.Option(help="Table 1 on phantoms: seeds of patients that set the thresholds.")
    ] = "2000-2004",
    recipe: Annotated[str, typer.Option(help="Table 1: paper, starter or table.")] = "table",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Table 1: networks of every attention.")] = 2,
    work: Work = WORK,
) -> None:
    """Tables 1 and 2."""
    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    if table == 1:
        if weights is not None:
            raise typer.BadParameter("Table 1 trains its networks itself; leave --weights out")
        wanted = runs.Attentions(train=train, validation=validation, recipe=recipe, seeds=seeds)
        _show(lambda progress: runs.attention_table(source, wanted, out=out, progress=progress))
    else:
        choice = DetectorChoice(model=model, weights=weights)
        _show(lambda progress: runs.threshold_table(source, choice, out=out, progress=progress))


@app.command("segmenter")
def segmenter(
    out: Out,
    table: Annotated[int, typer.Option(min=3, max=4, help="3: feature sources. 4: encoders.")],
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    vendor: Vendor = "a",
    start: Start = None,
    train: Train = "1000-1019",
    recipe: Annotated[str, typer.Option(help="Recipe of every row.")] = "row",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Networks of every row.")] = 3,
    work: Work = WORK,
) -> None:
    """Tables 3 and 4: every row is trained."""
    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    wanted = runs.Comparison(start=start or [], recipe=recipe, seeds=seeds)
    _show(
        lambda progress: runs.segmenter_table(table, source, wanted, train=train, out=out, progress=progress)
    )


@app.command("crossval")
def crossval(
    out: Out,
    start: Annotated[Path, typer.Option(help="Weights of a SAM that both arms begin with.", exists=True)],
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    vendor: Vendor = "a",
    detector: Annotated[
        str, typer.Option(help="Model version whose boxes both arms get; none of its training patients here.")
    ] = "champion",
    folds: Annotated[int, typer.Option(min=2, max=20, help="How many, by patient.")] = 5,
    recipe: Annotated[str, typer.Option(help="Recipe of both arms.")] = "row",
    work: Work = WORK,
) -> None:
    """Table 5: cross-validation by patient, end to end, HQ-SAM against Yolo-MLSAM."""
    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    wanted = runs.Comparison(start=[str(start)], recipe=recipe, seeds=1)
    _show(
        lambda progress: runs.crossvalidate(
            source, wanted, folds=folds, detector=detector, out=out, progress=progress
        )
    )


def _show(make: Callable[[Progress], list[Path]]) -> None:
    try:
        with progress_bar("table") as progress:
            paths = make(progress)
    except MammoError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    for path in paths:
        typer.echo(str(path))


if __name__ == "__main__":
    app()
