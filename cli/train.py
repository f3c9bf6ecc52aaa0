"""`yolo-mlsam train`: train one network on a dataset version or on phantoms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

train = typer.Typer(help="Train one network on a dataset version or on phantoms.", no_args_is_help=True)

Dataset = Annotated[str | None, typer.Option(help="Name of a dataset version (SHA-256).")]
Phantoms = Annotated[
    str | None, typer.Option(help="Seeds of phantom patients to train on instead, as FIRST-LAST.")
]
Validation = Annotated[
    str | None, typer.Option(help="Seeds of phantom patients to validate on, as FIRST-LAST.")
]
Vendor = Annotated[str, typer.Option(help="Appearance of the phantoms: a, b or c.")]
Start = Annotated[
    str, typer.Option(help="Model version to begin with: champion, starter or a version of the registry.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Random seed; default: the recipe's.")]
Work = Annotated[Path, typer.Option(help="Folder for phantoms.", file_okay=False)]


@train.command("detector")
def train_detector(
    out: Annotated[
        Path, typer.Option(help="Folder of the run; detector.safetensors is its result.", file_okay=False)
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="paper, starter and table begin from scratch; finetune, demo and smoke from --start."
        ),
    ] = "finetune",
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    validation: Validation = None,
    vendor: Vendor = "a",
    start: Start = "champion",
    public: Annotated[
        str | None,
        typer.Option(help="Public weights to begin with instead, whatever the recipe; see `weights list`."),
    ] = None,
    seed: Seed = None,
    work: Work = Path("data/phantoms"),
) -> None:
    """Train the detector. The same command continues an interrupted run. Nothing is promoted."""
    from cli.case_source import CaseSource
    from cli.network_training import DetectorTraining
    from cli.network_training import train_detector as run

    options = DetectorTraining(
        source=CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work),
        validation=validation,
        out=out,
        recipe=recipe,
        start=start,
        public=public,
        seed=seed,
    )
    typer.echo(run(options))


@train.command("segmenter")
def train_segmenter(
    out: Annotated[
        Path, typer.Option(help="Folder of the run; segmenter.safetensors is its result.", file_okay=False)
    ],
    recipe: Annotated[
        str,
        typer.Option(help="starter, sam and smoke begin from scratch; paper, finetune, demo from --start."),
    ] = "finetune",
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    validation: Validation = None,
    vendor: Vendor = "a",
    start: Start = "champion",
    weights: Annotated[
        Path | None, typer.Option(help="A safetensors file to begin with instead.", exists=True)
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="Model version whose detector's false alarms train the presence of lesions."),
    ] = None,
    seed: Seed = None,
    work: Work = Path("data/phantoms"),
) -> None:
    """Train the segmenter, also under torchrun. The same command continues an interrupted run."""
    from cli.case_source import CaseSource
    from cli.network_training import SegmenterTraining
    from cli.network_training import train_segmenter as run

    options = SegmenterTraining(
        source=CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work),
        validation=validation,
        out=out,
        recipe=recipe,
        start=start,
        weights=weights,
        detector=detector,
        seed=seed,
    )
    typer.echo(run(options))
