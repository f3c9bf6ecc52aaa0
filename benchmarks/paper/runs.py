"""Runs of the paper's tables: the cases, the plan, and the report that is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paper.cross_validation import CrossvalPlan, DetectBoxes, cached_boxes, table_5
from benchmarks.paper.detector_tables import Table1Plan, table_1, table_2
from benchmarks.paper.segmenter_tables import RowPlan, table_3, table_4
from cli.case_source import CaseSource
from cli.detector_evaluation import DetectorChoice, require_clusters, score_detector
from cli.network_training import segmenter_recipe
from cli.segmenter_evaluation import case_set_rois
from mammo.detector import Detector
from mammo.dicom import Mammogram
from mammo.errors import InvalidSettings
from mammo.geometry import Box
from mammo.site import Site
from training.case_sets import CaseSet
from training.cases import Progress
from training.datasets.folds import Fold
from training.detector.recipes import DETECTOR_RECIPES, FROM_SCRATCH


@dataclass(frozen=True, kw_only=True)
class Attentions:
    """What Table 1 trains."""

    train: str
    """On phantoms: seeds of the patients, as FIRST-LAST."""

    validation: str
    """The same of those that set the thresholds."""

    recipe: str
    seeds: int


def attention_table(source: CaseSource, wanted: Attentions, *, out: Path, progress: Progress) -> list[Path]:
    """Table 1: train every attention from scratch and measure it; returns the files written.

    Raises:
        InsufficientData: the test cases have no cluster.
        InvalidSettings: no recipe of that name that trains from scratch, or seeds that share patients.
    """
    if wanted.recipe not in FROM_SCRATCH:
        raise InvalidSettings(
            f"Table 1 trains from scratch: {', '.join(sorted(FROM_SCRATCH))}; got {wanted.recipe!r}"
        )
    folds: tuple[Fold, ...] = ("test", "train", "validation")
    seeds = [wanted.train, wanted.validation]
    with source.open(folds, seeds=seeds, progress=progress) as (test, train, validation):
        require_clusters(test)
        plan = Table1Plan(
            recipe=DETECTOR_RECIPES[wanted.recipe](),
            seeds=range(wanted.seeds),
            train=train.cases,
            validation=validation.cases,
            test=test.cases,
            runtime=Site.load().settings.runtime,
        )
        facts = {"data": test.name, "trained on": train.name, "thresholds set on": validation.name}
        report = table_1(plan, folder=source.work / "table-1", facts=facts, progress=progress)
        return report.write(out, name="detector-table-1")


def threshold_table(
    source: CaseSource, choice: DetectorChoice, *, out: Path, progress: Progress
) -> list[Path]:
    """Table 2: one detector at the paper's thresholds; returns the files written.

    Raises:
        InsufficientData: the test cases have no cluster.
    """
    with source.open(["test"], progress=progress) as (test,):
        of = score_detector(choice, test, progress=progress)
        return table_2(of.scored, facts=of.facts).write(out, name="detector-table-2")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the tables of the segmenter train."""

    start: Sequence[str]
    """FILE, or NAME=FILE for Table 4."""

    recipe: str
    seeds: int


def segmenter_table(
    table: int, source: CaseSource, wanted: Comparison, *, train: str, out: Path, progress: Progress
) -> list[Path]:
    """Table 3 or 4: train every row on one part of the patients, measure it on the other; returns the files written."""
    starts = _starts(wanted.start, several=table == 4)
    folds: tuple[Fold, ...] = ("test", "train")
    with source.open(folds, seeds=[train], progress=progress) as (tested, trained):
        plan = RowPlan(
            recipe=segmenter_recipe(wanted.recipe),
            seeds=range(wanted.seeds),
            train=case_set_rois(trained, starts[0][1], source.work / "regions-train", progress),
            test=case_set_rois(tested, starts[0][1], source.work / "regions-test", progress),
        )
        facts = {"data": tested.name, "trained on": trained.name}
        if table == 3:
            folder = source.work / "table-3"
            report = table_3(starts[0][1], plan, folder=folder, facts=facts, progress=progress)
        else:
            folder = source.work / "table-4"
            report = table_4(dict(starts), plan, folder=folder, facts=facts, progress=progress)
        return report.write(out, name=f"segmenter-table-{table}")


def crossvalidate(
    source: CaseSource, wanted: Comparison, *, folds: int, detector: str, out: Path, progress: Progress
) -> list[Path]:
    """Table 5 on all patients of the source; returns the files written."""
    ((_, start),) = _starts(wanted.start, several=False)
    files = Site.load().model_files(detector)
    every_fold: tuple[Fold, ...] = ("train", "validation", "test")
    with source.open(every_fold, progress=progress) as parts:
        cases = [case for part in parts for case in part.cases]
        everyone = CaseSet(name=", ".join(part.name for part in parts), cases=cases)
        plan = CrossvalPlan(
            recipe=segmenter_recipe(wanted.recipe),
            cases=cases,
            rois=case_set_rois(everyone, start, source.work / "regions", progress),
            detect=cached_boxes(
                _detects(files.detector, files.threshold),
                source.work / "boxes.json",
                of=f"{files.version} at {files.threshold:g}, in mm",
            ),
            folds=folds,
        )
        facts = {"data": everyone.name, "boxes": f"{files.version} at {files.threshold:g}"}
        report = table_5(start, plan, folder=source.work / "table-5", facts=facts, progress=progress)
        return report.write(out, name="segmenter-table-5")


def _detects(weights: Path, threshold: float) -> DetectBoxes:
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
