"""What `train segmenter` and `evaluate segmenter` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.material import Material, Source, source_material, trained_on_warning
from cli.model_files import find_model
from mammo.errors import InsufficientData, InvalidSettings
from mammo.site import Site

if TYPE_CHECKING:
    from training.cases import Case, Progress
    from training.segmenter.recipes import SegmenterRecipe
    from training.segmenter.rois import TrainingRoi

FROM_SCRATCH = frozenset({"starter", "sam", "smoke"})
"""Recipes that begin with random weights when no file is given."""


def train_segmenter(
    train: Sequence[Case],
    validation: Sequence[Case],
    *,
    out: Path,
    recipe: str,
    start: str,
    weights: Path | None,
    detector: str | None,
    seed: int | None,
    facts: Mapping[str, Any],
    progress: Progress,
) -> Path:
    """Train by a named recipe.

    Args:
        start: model version to begin with, where neither the recipe nor `weights` says otherwise.
        weights: a safetensors file to begin with.
        detector: model version whose detector's false alarms teach the presence head; None: places at random only.
        facts: what the weights are to say of their training beside what the run itself writes.
    """
    from mammo.segmenter.weights import add_facts
    from training.segmenter.finetune import finetune_segmenter
    from training.segmenter.process_group import ProcessGroup, joined_process_group

    chosen = named(recipe)
    begin = weights
    if begin is None and recipe not in FROM_SCRATCH:
        begin = find_model(start, Site.load()).segmenter
    with joined_process_group():
        trained = finetune_segmenter(
            train,
            validation,
            start=begin,
            recipe=chosen if seed is None else replace(chosen, seed=seed),
            folder=out,
            detector=find_model(detector, Site.load()).detector if detector else None,
            progress=progress,
        )
        if facts and ProcessGroup.current().is_first:
            add_facts(trained, facts)
        return trained


def named(recipe: str) -> SegmenterRecipe:
    """A recipe by its name.

    Raises:
        InvalidSettings: there is none of that name.
    """
    from training.segmenter.recipes import SEGMENTER_RECIPES

    if recipe not in SEGMENTER_RECIPES:
        raise InvalidSettings(f"recipe {recipe!r} is not one of {', '.join(SEGMENTER_RECIPES)}")
    return SEGMENTER_RECIPES[recipe]()


def evaluate_weights(source: Source, weights: Path, *, out: Path, tell: Progress) -> list[Path]:
    """One segmenter on the test patients: overlap, boundary, pixel rates and presence; returns the files written."""
    from mammo.segmenter.weights import load_segmenter
    from training.evaluation.segmenter_report import segmenter_report

    with ExitStack() as stack:
        (tested,) = source_material(source, stack, tell)
        regions = cut_regions(tested, weights, source.work / "regions-test", tell, backgrounds=1)
        facts = {"weights": weights.name, "data": tested.name}
        if warning := trained_on_warning(load_segmenter(weights)[1], tested):
            facts["warning"] = warning
        report = segmenter_report(weights, regions, facts=facts)
        return report.write(out, name="segmenter")


def cut_regions(
    material: Material, weights: Path, folder: Path, tell: Progress, *, backgrounds: int = 0
) -> list[TrainingRoi]:
    """The regions of a material, of the size that a segmenter takes; kept in a folder.

    Raises:
        InsufficientData: no cluster with a mask among them.
    """
    from mammo.segmenter.weights import load_segmenter
    from training.segmenter.rois import cut_rois

    config = load_segmenter(weights)[0].config
    regions = cut_rois(material.cases, folder, config=config, backgrounds=backgrounds, progress=tell)
    if not any(roi.kind == "cluster" for roi in regions):
        raise InsufficientData(f"{material.name} holds no cluster with a mask: there is nothing to outline")
    return regions
