"""What `train segmenter`, `evaluate segmenter` and `crossval` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.material import Material, dataset_material, parse_seeds, phantom_material, trained_on_warning
from cli.model_files import find_model
from mammo.errors import InsufficientData, InvalidSettings
from mammo.site import Site

if TYPE_CHECKING:
    from mammo.dicom import Mammogram
    from mammo.geometry import Box
    from training.cases import Case, Progress
    from training.paper.cross_validation import DetectBoxes
    from training.segmenter.recipes import SegmenterRecipe
    from training.segmenter.rois import TrainingRoi

FROM_SCRATCH = frozenset({"starter", "sam", "smoke"})
"""Recipes that begin with random weights when no file is given."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the cases come from: a dataset version, or phantoms by their seeds."""

    dataset: str | None
    phantoms: str | None
    vendor: str
    work: Path
    """Gets phantoms and cut regions."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The options of `evaluate segmenter` and `crossval` that say what is trained."""

    start: Sequence[str]
    """FILE, or NAME=FILE for Table 4."""

    recipe: str
    seeds: int


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


def evaluate_table(
    table: int, source: Source, wanted: Comparison, *, train: str, out: Path, tell: Progress
) -> list[Path]:
    """Table 3 or 4: train every row on one part of the patients, measure it on the other; returns the files written."""
    from training.paper.segmenter_tables import RowPlan, table_3, table_4

    starts = _starts(wanted.start, several=table == 4)
    with ExitStack() as stack:
        tested, trained = _parts(source, stack, tell, train=train)
        plan = RowPlan(
            recipe=named(wanted.recipe),
            seeds=range(wanted.seeds),
            train=_regions(trained, starts[0][1], source.work / "regions-train", tell),
            test=_regions(tested, starts[0][1], source.work / "regions-test", tell),
        )
        facts = {"data": tested.name, "trained on": trained.name}
        if table == 3:
            folder = source.work / "table-3"
            report = table_3(starts[0][1], plan, folder=folder, facts=facts, progress=tell)
        else:
            folder = source.work / "table-4"
            report = table_4(dict(starts), plan, folder=folder, facts=facts, progress=tell)
        return report.write(out, name=f"segmenter-table-{table}")


def evaluate_weights(source: Source, weights: Path, *, out: Path, tell: Progress) -> list[Path]:
    """One segmenter on the test patients: overlap, boundary, pixel rates and presence; returns the files written."""
    from mammo.segmenter.weights import load_segmenter
    from training.evaluation.segmenter_report import segmenter_report

    with ExitStack() as stack:
        (tested,) = _parts(source, stack, tell)
        regions = _regions(tested, weights, source.work / "regions-test", tell, backgrounds=1)
        facts = {"weights": weights.name, "data": tested.name}
        if warning := trained_on_warning(load_segmenter(weights)[1], tested):
            facts["warning"] = warning
        report = segmenter_report(weights, regions, facts=facts)
        return report.write(out, name="segmenter")


def crossvalidate(
    source: Source, wanted: Comparison, *, folds: int, detector: str, out: Path, tell: Progress
) -> list[Path]:
    """Table 5 on all patients of the source; returns the files written."""
    from training.paper.cross_validation import CrossvalPlan, cached_boxes, table_5

    ((_, start),) = _starts(wanted.start, several=False)
    files = find_model(detector, Site.load())
    with ExitStack() as stack:
        parts = _parts(source, stack, tell, every_fold=True)
        cases = [case for part in parts for case in part.cases]
        everyone = Material(name=", ".join(part.name for part in parts), cases=cases)
        plan = CrossvalPlan(
            recipe=named(wanted.recipe),
            cases=cases,
            rois=_regions(everyone, start, source.work / "regions", tell),
            detect=cached_boxes(
                _detects(files.detector, files.threshold),
                source.work / "boxes.json",
                of=f"{files.version} at {files.threshold:g}, in mm",
            ),
            folds=folds,
        )
        facts = {"data": everyone.name, "boxes": f"{files.version} at {files.threshold:g}"}
        report = table_5(start, plan, folder=source.work / "table-5", facts=facts, progress=tell)
        return report.write(out, name="segmenter-table-5")


def _detects(weights: Path, threshold: float) -> DetectBoxes:
    from mammo.detector import Detector

    detector = Detector.load(weights)

    def boxes(mammogram: Mammogram) -> list[Box]:
        found = detector.detect(mammogram.pixels, threshold=threshold, spacing=mammogram.spacing)
        return [each.box for each in sorted(found, key=lambda each: -each.score)]

    return boxes


def _starts(texts: Sequence[str], *, several: bool) -> list[tuple[str, Path]]:
    """`FILE` or `NAME=FILE`; the name is the paper's of the encoder.

    Raises:
        InvalidSettings: none, too many, or a file that is not there.
    """
    if not texts or (len(texts) > 1 and not several):
        raise InvalidSettings(
            "give --start FILE, the weights of a SAM that every row begins with; Table 4 takes several, as "
            "--start vit_b=FILE"
        )
    starts = []
    for text in texts:
        name, _, path = text.rpartition("=")
        if not Path(path).is_file():
            raise InvalidSettings(f"--start {text}: there is no such file")
        starts.append((name or Path(path).stem, Path(path)))
    return starts


def _parts(
    source: Source, stack: ExitStack, tell: Progress, *, train: str | None = None, every_fold: bool = False
) -> list[Material]:
    """The test part, and the training part where `train` names one; or all folds of a dataset version."""
    if (source.dataset is None) == (source.phantoms is None):
        raise InvalidSettings("give either --dataset NAME or --phantoms FIRST-LAST")
    if source.dataset is not None:
        if every_fold:
            return stack.enter_context(dataset_material(source.dataset, "train", "validation", "test"))
        if train is not None:
            return stack.enter_context(dataset_material(source.dataset, "test", "train"))
        return stack.enter_context(dataset_material(source.dataset, "test"))
    assert source.phantoms is not None
    texts = [source.phantoms, *([train] if train is not None else [])]
    seeds = [parse_seeds(text) for text in texts]
    if len(set().union(*seeds)) < sum(map(len, seeds)):
        raise InvalidSettings(
            f"the seeds {', '.join(texts)} share patients; a test needs patients of its own"
        )
    return [phantom_material(each, vendor=source.vendor, work=source.work, tell=tell) for each in seeds]


def _regions(
    material: Material, weights: Path, folder: Path, tell: Progress, *, backgrounds: int = 0
) -> list[TrainingRoi]:
    from mammo.segmenter.weights import load_segmenter
    from training.segmenter.rois import cut_rois

    config = load_segmenter(weights)[0].config
    regions = cut_rois(material.cases, folder, config=config, backgrounds=backgrounds, progress=tell)
    if not any(roi.kind == "cluster" for roi in regions):
        raise InsufficientData(f"{material.name} holds no cluster with a mask: there is nothing to outline")
    return regions
