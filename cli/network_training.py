"""What `train detector` and `train segmenter` do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.case_source import CaseSource
from cli.progress import progress_bar
from mammo.errors import InvalidSettings
from mammo.site import Site
from training.cases import silent

if TYPE_CHECKING:
    from training.case_sets import CaseSet
    from training.datasets.folds import Fold
    from training.detector.recipes import DetectorRecipe
    from training.segmenter.recipes import SegmenterRecipe

SEGMENTERS_FROM_SCRATCH = frozenset({"starter", "sam", "smoke"})
"""Segmenter recipes that begin with random weights unless a file is given."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Options that both networks have."""

    source: CaseSource
    validation: str | None
    """Seeds of phantom patients to validate on."""

    out: Path
    """Folder of the run."""

    recipe: str
    start: str
    """Model version to begin with, if the recipe does not begin from scratch."""

    seed: int | None
    """None: the recipe's."""


@dataclass(frozen=True, kw_only=True)
class DetectorTraining(Training):
    """Options of `train detector`."""

    public: str | None
    """Name of public weights to begin with instead, whatever the recipe."""


@dataclass(frozen=True, kw_only=True)
class SegmenterTraining(Training):
    """Options of `train segmenter`."""

    weights: Path | None
    """A safetensors file to begin with instead, whatever the recipe."""

    detector: str | None
    """Model version whose detector's false alarms train the presence head; None: random places only."""


def train_detector(options: DetectorTraining) -> str:
    """Train a detector, and return a summary.

    Raises:
        InvalidSettings: the options contradict each other, or there is no such recipe.
    """
    from mammo.detector import add_facts
    from training.detector.finetune import finetune_detector

    recipe, start = _detector_start(options)
    if options.seed is not None:
        recipe = replace(recipe, seed=options.seed)
    with progress_bar("detector") as progress, _cases(options) as (train, validation):
        weights = finetune_detector(
            train.cases, validation.cases, start=start, recipe=recipe, folder=options.out, progress=progress
        )
        if train.facts:
            add_facts(weights, train.facts)
    return f"{weights}: recipe {options.recipe}, seed {recipe.seed}, {len(train.cases)} images"


def _detector_start(options: DetectorTraining) -> tuple[DetectorRecipe, Path | None]:
    """Return the recipe, with the scale of public weights, and the weights to begin with; None: random ones."""
    from cli.weights import converted
    from mammo.models.public_weights import find
    from training.detector.recipes import DETECTOR_RECIPES, FROM_SCRATCH

    if options.recipe not in DETECTOR_RECIPES:
        raise InvalidSettings(f"recipe {options.recipe!r} is not one of {', '.join(DETECTOR_RECIPES)}")
    recipe = DETECTOR_RECIPES[options.recipe]()
    if options.public is not None:
        weights = converted(options.public, network="detector")
        scale: Any = find(options.public).architecture.removeprefix("yolov8")
        return replace(recipe, spec=replace(recipe.spec, scale=scale)), weights
    if options.recipe in FROM_SCRATCH:
        return recipe, None
    return recipe, Site.load().model_files(options.start).detector


def train_segmenter(options: SegmenterTraining) -> str:
    """Train a segmenter, and return a summary. Under torchrun, all processes train together.

    Raises:
        InvalidSettings: the options contradict each other, or there is no such recipe.
    """
    from mammo.segmenter.weights import add_facts
    from training.segmenter.finetune import finetune_segmenter
    from training.segmenter.process_group import ProcessGroup, joined_process_group

    with progress_bar("segmenter") as progress, _cases(options) as (train, validation):
        recipe = segmenter_recipe(options.recipe)
        start, site = options.weights, Site.load()
        if start is None and options.recipe not in SEGMENTERS_FROM_SCRATCH:
            start = site.model_files(options.start).segmenter
        with joined_process_group():
            weights = finetune_segmenter(
                train.cases,
                validation.cases,
                start=start,
                recipe=recipe if options.seed is None else replace(recipe, seed=options.seed),
                folder=options.out,
                detector=site.model_files(options.detector).detector if options.detector else None,
                progress=progress,
            )
            if train.facts and ProcessGroup.current().is_first:
                add_facts(weights, train.facts)
    return f"{weights}: recipe {options.recipe}, {len(train.cases)} images"


def segmenter_recipe(name: str) -> SegmenterRecipe:
    """Return a segmenter recipe by its name.

    Raises:
        InvalidSettings: there is no such recipe.
    """
    from training.segmenter.recipes import SEGMENTER_RECIPES

    if name not in SEGMENTER_RECIPES:
        raise InvalidSettings(f"recipe {name!r} is not one of {', '.join(SEGMENTER_RECIPES)}")
    return SEGMENTER_RECIPES[name]()


@contextmanager
def _cases(options: Training) -> Iterator[tuple[CaseSet, CaseSet]]:
    """Yield the case sets for training and validation."""
    folds: tuple[Fold, ...] = ("train", "validation")
    with options.source.open(folds, seeds=[options.validation], progress=silent) as (train, validation):
        yield train, validation
