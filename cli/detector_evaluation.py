"""What `yolo-mlsam evaluate detector` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.case_source import CaseSource
from cli.progress import progress_bar
from mammo.errors import InsufficientData, InvalidSettings
from mammo.site import Site

if TYPE_CHECKING:
    from training.case_sets import CaseSet
    from training.cases import Progress
    from training.datasets.folds import Fold

PAPER_THRESHOLD = 0.2
"""Operating point for weights without one: section 4 of the paper."""


@dataclass(frozen=True, kw_only=True)
class DetectorEvaluation:
    """Options of the command; see its help."""

    source: CaseSource
    model: str
    weights: Path | None
    threshold: float | None
    table: int | None
    train: str
    validation: str
    recipe: str
    seeds: int


def evaluate_detector(options: DetectorEvaluation, *, out: Path) -> list[Path]:
    """Measure a detector or make Table 1 or 2 of the paper again; return the files written.

    Raises:
        InsufficientData: the test cases have no cluster.
        InvalidSettings: the options contradict each other, or there is no such recipe.
    """
    _require_consistent(options)
    folds: tuple[Fold, ...] = ("test", "train", "validation") if options.table == 1 else ("test",)
    seeds = [options.train, options.validation] if options.table == 1 else []
    with (
        progress_bar("evaluate") as progress,
        options.source.open(folds, seeds=seeds, progress=progress) as (test, *others),
    ):
        if not any(case.truth for case in test.cases):
            raise InsufficientData(f"{test.name}: no cluster to detect, so nothing can be measured")
        if options.table == 1:
            train, validation = others
            return _table_1(options, test, train, validation, out=out, progress=progress)
        return _one_detector(options, test, out=out, progress=progress)


def _require_consistent(options: DetectorEvaluation) -> None:
    """Check the options before an image is drawn or opened."""
    from training.detector.recipes import FROM_SCRATCH

    if options.table is not None and options.threshold is not None:
        raise InvalidSettings(
            f"--threshold has no place in Table {options.table}: Table 1 sets a threshold for each network, Table 2 "
            "sweeps them; leave it out"
        )
    if options.table == 1 and options.recipe not in FROM_SCRATCH:
        raise InvalidSettings(
            f"Table 1 trains from scratch: {', '.join(sorted(FROM_SCRATCH))}; got {options.recipe!r}"
        )
    if options.table == 1 and options.weights is not None:
        raise InvalidSettings("Table 1 trains its networks itself; leave --weights out")


def _one_detector(options: DetectorEvaluation, test: CaseSet, *, out: Path, progress: Progress) -> list[Path]:
    from mammo.detector import load_network
    from training.case_sets import trained_on_warning
    from training.evaluation.detector import finder, measure, score_images
    from training.evaluation.detector_report import detector_report
    from training.paper.detector_tables import table_2

    site = Site.load()
    if options.weights is None:
        files = site.model_files(options.model)
        name, weights, threshold = files.version, files.detector, files.threshold
        weight_facts = load_network(weights)[1]
    else:
        name, weights = options.weights.name, options.weights
        weight_facts = load_network(weights)[1]
        threshold = weight_facts.get("operating_point", {}).get("threshold", PAPER_THRESHOLD)
    facts = {"model": name, "data": test.name}
    if warning := trained_on_warning(weight_facts, test):
        facts["warning"] = warning
    find = finder(weights, threads=site.settings.threads, runtime=site.settings.runtime)
    scored = score_images(find, test.cases, traits=test.traits, progress=progress)
    if options.table == 2:
        return table_2(scored, facts=facts).write(out, name="detector-table-2")
    measured = measure(scored, threshold=options.threshold or threshold)
    return detector_report(scored, measured, facts=facts).write(out, name="detector")


def _table_1(
    options: DetectorEvaluation,
    test: CaseSet,
    train: CaseSet,
    validation: CaseSet,
    *,
    out: Path,
    progress: Progress,
) -> list[Path]:
    from training.detector.recipes import DETECTOR_RECIPES
    from training.paper.detector_tables import Table1Plan, table_1

    plan = Table1Plan(
        recipe=DETECTOR_RECIPES[options.recipe](),
        seeds=range(options.seeds),
        train=train.cases,
        validation=validation.cases,
        test=test.cases,
        runtime=Site.load().settings.runtime,
    )
    facts = {"data": test.name, "trained on": train.name, "thresholds set on": validation.name}
    report = table_1(plan, folder=options.source.work / "table-1", facts=facts, progress=progress)
    return report.write(out, name="detector-table-1")
