"""`yolo-mlsam train`: train one network on a dataset version or on phantoms; a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.cases import Case

train = typer.Typer(help="Train one network, on a dataset version or on phantoms.", no_args_is_help=True)


@train.command("detector")
def train_detector(
    out: Annotated[
        Path, typer.Option(help="Folder of the run; gets detector.safetensors at its end.", file_okay=False)
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="paper, starter and table begin from scratch; finetune, demo and smoke from --start."
        ),
    ] = "finetune",
    dataset: Annotated[str | None, typer.Option(help="Name of a dataset version (SHA-256).")] = None,
    phantoms: Annotated[
        str | None, typer.Option(help="Seeds of phantom patients to train on instead, as FIRST-LAST.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Seeds of phantom patients to validate on, as FIRST-LAST.")
    ] = None,
    vendor: Annotated[str, typer.Option(help="Look of the phantoms: a, b or c.")] = "a",
    start: Annotated[
        str, typer.Option(help="Model version to begin with: champion, starter or a version of the registry.")
    ] = "champion",
    public: Annotated[
        str | None,
        typer.Option(help="Public weights to begin with instead, whatever the recipe; see `weights list`."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")] = None,
    work: Annotated[Path, typer.Option(help="Folder for phantoms.", file_okay=False)] = Path("data/phantoms"),
) -> None:
    """Train the detector. The same command goes on where a stopped or killed one was; nothing is promoted."""
    from dataclasses import replace

    from cli.material import parse_seeds, phantom_look, shown_progress
    from cli.model_files import find_model
    from cli.weights import converted
    from mammo.detector import add_facts
    from mammo.errors import InvalidSettings
    from mammo.models.public_weights import find
    from mammo.site import Site
    from training.detector.finetune import finetune_detector
    from training.detector.recipes import DETECTOR_RECIPES, FROM_SCRATCH
    from training.phantom_cases import training_facts

    if recipe not in DETECTOR_RECIPES:
        raise InvalidSettings(f"recipe {recipe!r} is not one of {', '.join(DETECTOR_RECIPES)}")
    chosen = DETECTOR_RECIPES[recipe]()
    if seed is not None:
        chosen = replace(chosen, seed=seed)
    if public is not None:
        weights: Path | None = converted(public, network="detector")
        scale: Any = find(public).architecture.removeprefix("yolov8")
        chosen = replace(chosen, spec=replace(chosen.spec, scale=scale))
    else:
        weights = None if recipe in FROM_SCRATCH else find_model(start, Site.load()).detector
    with (
        shown_progress("detector") as tell,
        _folds(dataset, phantoms, validation, vendor, work) as (new, held),
    ):
        result = finetune_detector(new, held, start=weights, recipe=chosen, folder=out, progress=tell)
        if phantoms:
            add_facts(result, training_facts(phantom_look(vendor).name, parse_seeds(phantoms)))
    typer.echo(f"{result}: recipe {recipe}, seed {chosen.seed}, {len(new)} images")


@train.command("segmenter")
def train_segmenter(
    out: Annotated[
        Path, typer.Option(help="Folder of the run; gets segmenter.safetensors at its end.", file_okay=False)
    ],
    recipe: Annotated[
        str,
        typer.Option(help="starter, sam and smoke begin from scratch; paper, finetune, demo from --start."),
    ] = "finetune",
    dataset: Annotated[str | None, typer.Option(help="Name of a dataset version (SHA-256).")] = None,
    phantoms: Annotated[
        str | None, typer.Option(help="Seeds of phantom patients to train on instead, as FIRST-LAST.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Seeds of phantom patients to validate on, as FIRST-LAST.")
    ] = None,
    vendor: Annotated[str, typer.Option(help="Look of the phantoms: a, b or c.")] = "a",
    start: Annotated[
        str, typer.Option(help="Model version to begin with: champion, starter or a version of the registry.")
    ] = "champion",
    weights: Annotated[
        Path | None, typer.Option(help="A safetensors file to begin with instead.", exists=True)
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Model version whose false alarms teach that there may be no lesion.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")] = None,
    work: Annotated[Path, typer.Option(help="Folder for phantoms.", file_okay=False)] = Path("data/phantoms"),
) -> None:
    """Train the segmenter; also under torchrun. The same command goes on where a killed one was."""
    from cli.material import parse_seeds, phantom_look, shown_progress
    from cli.segmenter_runs import train_segmenter as run
    from training.phantom_cases import training_facts

    with (
        shown_progress("segmenter") as tell,
        _folds(dataset, phantoms, validation, vendor, work) as (new, held),
    ):
        result = run(
            new,
            held,
            out=out,
            recipe=recipe,
            start=start,
            weights=weights,
            detector=detector,
            seed=seed,
            facts=training_facts(phantom_look(vendor).name, parse_seeds(phantoms)) if phantoms else {},
            progress=tell,
        )
    typer.echo(f"{result}: recipe {recipe}, {len(new)} images")


@contextmanager
def _folds(
    dataset: str | None, phantoms: str | None, validation: str | None, vendor: str, work: Path
) -> Iterator[tuple[list[Case], list[Case]]]:
    """Training and validation cases of either source."""
    from cli.material import dataset_material, parse_seeds, phantom_material
    from mammo.errors import InvalidSettings
    from training.cases import silent

    if (dataset is None) == (phantoms is None):
        raise InvalidSettings("give either --dataset NAME or --phantoms FIRST-LAST")
    if dataset is not None:
        with dataset_material(dataset, "train", "validation") as (training, holding):
            yield training.cases, holding.cases
        return
    parts = [parse_seeds(text) if text else range(0) for text in (phantoms, validation)]
    if set(parts[0]) & set(parts[1]):
        raise InvalidSettings(
            f"the seeds {phantoms} and {validation} share patients; give others to validate on"
        )
    new, held = (
        phantom_material(seeds, vendor=vendor, work=work, tell=silent).cases if seeds else []
        for seeds in parts
    )
    yield new, held
