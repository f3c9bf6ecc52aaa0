"""`yolo-mlsam evaluate`: measure one network."""

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
Work = Annotated[Path, typer.Option(help="Folder for phantoms and ROIs.", file_okay=False)]


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
    work: Work = Path("data/phantoms"),
) -> None:
    """Measure the detector: FROC, AP and operating point, with 95 % intervals by patient."""
    from cli.case_source import CaseSource
    from cli.detector_evaluation import DetectorChoice
    from cli.detector_evaluation import evaluate_detector as run

    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    choice = DetectorChoice(model=model, weights=weights)
    _print(run(source, choice, threshold=threshold, out=out))


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
    work: Work = Path("data/phantoms"),
) -> None:
    """Measure the segmenter on given boxes."""
    from cli.case_source import CaseSource
    from cli.segmenter_evaluation import evaluate_weights
    from mammo.site import Site

    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    _print(evaluate_weights(source, weights or Site.load().model_files(model).segmenter, out=out))


def _print(paths: Sequence[Path]) -> None:
    for path in paths:
        typer.echo(str(path))
