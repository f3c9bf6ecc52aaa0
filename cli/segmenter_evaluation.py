"""What `yolo-mlsam evaluate segmenter` and `yolo-mlsam crossval` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.case_source import CaseSource
from cli.network_training import segmenter_recipe
from cli.progress import progress_bar
from mammo.errors import InsufficientData, InvalidSettings
from mammo.site import Site

if TYPE_CHECKING:
    from mammo.dicom import Mammogram
    from mammo.geometry import Box
    from training.case_sets import CaseSet
    from training.cases import Progress
    from training.datasets.folds import Fold
    from training.paper.cross_validation import Detects
    from training.segmenter.rois import TrainingRoi


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Networks that a table trains and compares."""

    start: Sequence[str]
    """Weights of a SAM: FILE, or NAME=FILE for Table 4."""

    recipe: str
    seeds: int
    """Number of networks per row."""


def evaluate_table(
    table: int, source: CaseSource, comparison: Comparison, *, train: str, out: Path
) -> list[Path]:
    """Make Table 3 or 4 again: train every row on some patients, measure it on others; return the files written."""
    from training.paper.segmenter_tables import RowPlan, table_3, table_4

    starts = _parse_starts(comparison.start, several=table == 4)
    folds: tuple[Fold, ...] = ("test", "train")
    with (
        progress_bar("evaluate") as progress,
        source.open(folds, seeds=[train], progress=progress) as (test, training),
    ):
        plan = RowPlan(
            recipe=segmenter_recipe(comparison.recipe),
            seeds=range(comparison.seeds),
            train=_rois(training, starts[0][1], source.work / "regions-train", progress),
            test=_rois(test, starts[0][1], source.work / "regions-test", progress),
        )
        facts = {"data": test.name, "trained on": training.name}
        folder = source.work / f"table-{table}"
        if table == 3:
            report = table_3(starts[0][1], plan, folder=folder, facts=facts, progress=progress)
        else:
            report = table_4(dict(starts), plan, folder=folder, facts=facts, progress=progress)
        return report.write(out, name=f"segmenter-table-{table}")


def evaluate_weights(source: CaseSource, weights: Path, *, out: Path) -> list[Path]:
    """Measure overlap, boundary, pixel rates and presence of one segmenter; return the files written."""
    from mammo.segmenter.weights import load_segmenter
    from training.case_sets import trained_on_warning
    from training.evaluation.segmenter_report import segmenter_report

    with progress_bar("evaluate") as progress, source.open(["test"], progress=progress) as (test,):
        rois = _rois(test, weights, source.work / "regions-test", progress, backgrounds=1)
        facts = {"weights": weights.name, "data": test.name}
        if warning := trained_on_warning(load_segmenter(weights)[1], test):
            facts["warning"] = warning
        return segmenter_report(weights, rois, facts=facts).write(out, name="segmenter")


def crossvalidate(
    source: CaseSource, comparison: Comparison, *, folds: int, detector: str, out: Path
) -> list[Path]:
    """Make Table 5 again on all patients of a source; return the files written."""
    from training.case_sets import CaseSet
    from training.paper.cross_validation import CrossvalPlan, remembered, table_5

    ((_, start),) = _parse_starts(comparison.start, several=False)
    files = Site.load().model_files(detector)
    every_fold: tuple[Fold, ...] = ("train", "validation", "test")
    with (
        progress_bar("crossval") as progress,
        source.open(every_fold, progress=progress) as case_sets,
    ):
        cases = [case for case_set in case_sets for case in case_set.cases]
        everyone = CaseSet(name=", ".join(case_set.name for case_set in case_sets), cases=cases)
        plan = CrossvalPlan(
            recipe=segmenter_recipe(comparison.recipe),
            cases=cases,
            rois=_rois(everyone, start, source.work / "regions", progress),
            detects=remembered(
                _detects(files.detector, files.threshold),
                source.work / "boxes.json",
                of=f"{files.version} at {files.threshold:g}, in mm",
            ),
            folds=folds,
        )
        facts = {"data": everyone.name, "boxes": f"{files.version} at {files.threshold:g}"}
        report = table_5(start, plan, folder=source.work / "table-5", facts=facts, progress=progress)
        return report.write(out, name="segmenter-table-5")


def _detects(weights: Path, threshold: float) -> Detects:
    """Return a function that gives the detected boxes of a mammogram in pixels, best first."""
    from mammo.detector import Detector

    detector = Detector.load(weights)

    def boxes(mammogram: Mammogram) -> list[Box]:
        detections = detector.detect(mammogram.pixels, threshold=threshold, spacing=mammogram.spacing)
        return [each.box for each in sorted(detections, key=lambda each: -each.score)]

    return boxes


def _parse_starts(texts: Sequence[str], *, several: bool) -> list[tuple[str, Path]]:
    """Parse `FILE` or `NAME=FILE`, where NAME is the paper's name of the encoder.

    Raises:
        InvalidSettings: none, too many, or a file that does not exist.
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


def _rois(
    cases: CaseSet, weights: Path, folder: Path, progress: Progress, *, backgrounds: int = 0
) -> list[TrainingRoi]:
    """Cut the ROIs of a case set, in the size that these weights take."""
    from mammo.segmenter.weights import load_segmenter
    from training.segmenter.rois import cut_rois

    config = load_segmenter(weights)[0].config
    rois = cut_rois(cases.cases, folder, config=config, backgrounds=backgrounds, progress=progress)
    if not any(roi.kind == "cluster" for roi in rois):
        raise InsufficientData(f"{cases.name}: no cluster with a mask, so nothing can be measured")
    return rois
