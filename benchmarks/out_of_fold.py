"""Out of fold: whether doubts find planted errors if the model has learned from the very labels, or from the others.

    python -m benchmarks.out_of_fold --patients 36 --plantings 3

Errors are planted into the true findings of phantoms (one view of 77 x 105 mm each) as in `benchmarks.second_look`, and
then the starter is fine-tuned on these labels by the recipe of provisional models: once on all patients, whose
predictions are in sample, and once per fold on the other patients. The starter itself, which learned from no patient,
is what a search without folds uses. A stopped run goes on where it was: with the fold, or with the image.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.result import Result
from benchmarks.second_look import SHARE, Image, Planted, by_doubts, plant, predicted
from mammo.models.starter_files import starter_files
from mammo.phantom import vendor_b
from mammo.second_looks.precision import Precision
from training.cases import Case, silent
from training.out_of_fold import FoldPlan, Found, predict_cases, predict_out_of_fold, read_found, write_found
from training.phantom_cases import drawn_cases
from training.provisional.left_out import Trainer
from training.provisional.material import draw_copies
from training.provisional.recipes import PROVISIONAL_RECIPES
from training.retrain.networks import Networks

WORK = Path("data/out-of-fold")
FIRST_SEED = 760_000
RECIPE = "provisional"
NETWORKS = Networks(threads=1, runtime="torch")

WAYS = ("the starter, learned from nobody", "in sample", "out of fold")


def in_sample(cases: Sequence[Case], folder: Path) -> dict[str, Found]:
    """Predict every image by a model that was fine-tuned on all of them."""
    recipe, done = PROVISIONAL_RECIPES[RECIPE], folder / "all.json"
    if not done.is_file():
        copies = draw_copies(cases, recipe, folder=folder / "material", progress=silent)
        trainer = Trainer(networks=NETWORKS, start=starter_files(), recipe=recipe, copies=copies)
        files = trainer.fit(cases, folder=folder / "all", progress=silent)
        write_found(done, predict_cases(NETWORKS.load(files), cases, progress=silent))
    return read_found(done)


def out_of_fold(cases: Sequence[Case], folder: Path, *, folds: int, seed: int) -> dict[str, Found]:
    """Predict every image by a model that was fine-tuned without its fold."""
    base = starter_files()
    plan = FoldPlan(folds=folds, seed=seed, base=base.version, recipe=RECIPE)
    return predict_out_of_fold(
        cases,
        plan,
        base=base,
        recipe=PROVISIONAL_RECIPES[RECIPE],
        networks=NETWORKS,
        folder=folder,
        progress=silent,
    )


def with_predictions(shown: Sequence[Image], cases: Sequence[Case], found: dict[str, Found]) -> list[Image]:
    """Replace the predictions of images."""
    images: list[Image] = []
    for (truth, _, spacing, size), case in zip(shown, cases, strict=True):
        result = found[case.image]
        assert not isinstance(result, str), result
        images.append((truth, tuple(result), spacing, size))
    return images


def hits(images: Sequence[Image], labels: Sequence[Planted], *, first: int, seed: int) -> int:
    """Return the number of planted errors among the images that are looked at first; ties in random order."""
    scores = by_doubts(images, labels)
    order = np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores))[:first]
    return sum(labels[index][1] is not None for index in order)


def main(
    patients: Annotated[int, typer.Option(min=20, help="One image each; every third has no cluster.")] = 36,
    plantings: Annotated[int, typer.Option(min=1, help="Each costs a training, and one per fold.")] = 3,
    folds: Annotated[int, typer.Option(min=2)] = 3,
    work: Annotated[Path, typer.Option()] = WORK,
) -> None:
    """Print the precision of each way over all plantings."""
    seeds = range(FIRST_SEED, FIRST_SEED + patients)
    cases = list(drawn_cases(seeds, appearance=vendor_b(), width=1100, height=1500))
    shown = predicted(cases, work / "starter")
    planted = 3 * max(round(SHARE * len(cases)), 1)
    looks = {"5 %": max(round(SHARE * len(cases)), 1), "as many as are wrong": planted}
    counts = {(way, name): 0 for way in WAYS for name in looks}
    for number in range(plantings):
        labels = plant(shown, np.random.default_rng(number))
        taught = [replace(case, truth=tuple(label)) for case, (label, _) in zip(cases, labels, strict=True)]
        folder = work / f"planting-{number}"
        ways = {
            WAYS[0]: list(shown),
            WAYS[1]: with_predictions(shown, cases, in_sample(taught, folder / "all")),
            WAYS[2]: with_predictions(
                shown, cases, out_of_fold(taught, folder / "folds", folds=folds, seed=number)
            ),
        }
        for way, images in ways.items():
            for name, first in looks.items():
                counts[way, name] += hits(images, labels, first=first, seed=number)
        print(
            json.dumps({"planting": number, **{f"{w}, {n}": c for (w, n), c in counts.items()}}), flush=True
        )
    rows = []
    for way in WAYS:
        cells = []
        for name, first in looks.items():
            figure = Precision(group=name, answered=plantings * first, changed=counts[way, name])
            low, high = figure.interval or (0.0, 1.0)
            cells.append(
                f"{figure.changed} of {figure.answered}: {figure.value:.2f} ({low:.2f} to {high:.2f})"
            )
        rows.append((way, *cells))
    chance = planted / len(cases)
    result = Result(
        title="Second look: in sample and out of fold",
        method=f"{len(cases)} phantom views of as many patients (seeds from {FIRST_SEED}), {planted} of them with "
        f"a planted error ({chance:.2f} by chance), {plantings} plantings, {folds} folds, recipe {RECIPE}; Wilson's "
        "interval of 95 %, too narrow because the plantings share their images.",
        columns=("predictions of", *(f"precision among the first {name}" for name in looks)),
        rows=rows,
    )
    print(result.markdown(), flush=True)


if __name__ == "__main__":
    typer.run(main)
