"""What `yolo-mlsam evaluate detector` does."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cli.material import (
    Material,
    dataset_material,
    parse_seeds,
    phantom_material,
    shown_progress,
    trained_on_warning,
)
from cli.model_files import find_model
from mammo.errors import InsufficientData, InvalidSettings
from mammo.site import Site
from training.cases import Progress

PAPERS_THRESHOLD = 0.2
"""Where no validation patients set one: section 4 of the paper."""


@dataclass(frozen=True, kw_only=True)
class DetectorEvaluation:
    """The options of the command; see its help."""

    dataset: str | None
    phantoms: str | None
    vendor: str
    model: str
    weights: Path | None
    threshold: float | None
    table: int | None
    train: str
    validation: str
    recipe: str
    seeds: int
    work: Path


def evaluate_detector_command(wanted: DetectorEvaluation, *, out: Path, stack: ExitStack) -> list[Path]:
    """Measure, and write the report.

    Args:
        stack: keeps the images readable until the command ends.

    Returns:
        The files written.

    Raises:
        InsufficientData: no cluster to find in the test material.
        InvalidSettings: options that do not go together, or no recipe of that name.
    """
    if wanted.table is not None and wanted.threshold is not None:
        raise InvalidSettings(
            f"--threshold has no place in Table {wanted.table}: Table 1 sets a threshold for each network, Table 2 "
            "sweeps them; leave it out"
        )
    if wanted.table == 1:
        _check_table_1(wanted)
    tell = stack.enter_context(shown_progress("evaluate"))
    test, *more = _material(wanted, stack, tell)
    if not any(case.truth for case in test.cases):
        raise InsufficientData(
            f"{test.name} holds no cluster: there is nothing to find, so nothing to measure"
        )
    if wanted.table == 1:
        return _table_1(wanted, test, *more, out=out, tell=tell)
    return _one_detector(wanted, test, out=out, tell=tell)


def _one_detector(wanted: DetectorEvaluation, test: Material, *, out: Path, tell: Progress) -> list[Path]:
    from mammo.detector import load_network
    from training.evaluation.detector import low_threshold_detector, measure, score_images
    from training.evaluation.detector_report import detector_report
    from training.paper.detector_tables import table_2

    site = Site.load()
    settings = site.settings
    if wanted.weights is None:
        files = find_model(wanted.model, site)
        name, weights, threshold = files.version, files.detector, files.threshold
        known = load_network(weights)[1]
    else:
        name, weights = wanted.weights.name, wanted.weights
        known = load_network(weights)[1]
        threshold = known.get("operating_point", {}).get("threshold", PAPERS_THRESHOLD)
    facts = {"model": name, "data": test.name}
    if warning := trained_on_warning(known, test):
        facts["warning"] = warning
    detect = low_threshold_detector(weights, threads=settings.threads, runtime=settings.runtime)
    scored = score_images(detect, test.cases, traits=test.traits, progress=tell)
    if wanted.table == 2:
        return table_2(scored, facts=facts).write(out, name="detector-table-2")
    found = measure(scored, threshold=wanted.threshold or threshold)
    return detector_report(scored, found, facts=facts).write(out, name="detector")


def _check_table_1(wanted: DetectorEvaluation) -> None:
    """Before an image is drawn or opened."""
    from training.detector.recipes import FROM_SCRATCH

    if wanted.recipe not in FROM_SCRATCH:
        raise InvalidSettings(
            f"Table 1 trains from scratch: {', '.join(sorted(FROM_SCRATCH))}; got {wanted.recipe!r}"
        )
    if wanted.weights is not None:
        raise InvalidSettings("Table 1 trains its networks itself; leave --weights out")


def _table_1(
    wanted: DetectorEvaluation,
    test: Material,
    train: Material,
    validation: Material,
    *,
    out: Path,
    tell: Progress,
) -> list[Path]:
    from training.detector.recipes import DETECTOR_RECIPES
    from training.paper.detector_tables import Table1Plan, table_1

    plan = Table1Plan(
        recipe=DETECTOR_RECIPES[wanted.recipe](),
        seeds=range(wanted.seeds),
        train=train.cases,
        validation=validation.cases,
        test=test.cases,
        runtime=Site.load().settings.runtime,
    )
    facts = {"data": test.name, "trained on": train.name, "thresholds set on": validation.name}
    report = table_1(plan, folder=wanted.work / "table-1", facts=facts, progress=tell)
    return report.write(out, name="detector-table-1")


def _material(wanted: DetectorEvaluation, stack: ExitStack, tell: Progress) -> list[Material]:
    """Test cases, and for Table 1 those to train and to set thresholds on."""
    if (wanted.dataset is None) == (wanted.phantoms is None):
        raise InvalidSettings("give either --dataset NAME or --phantoms FIRST-LAST")
    if wanted.dataset is not None:
        if wanted.table == 1:
            return stack.enter_context(dataset_material(wanted.dataset, "test", "train", "validation"))
        return stack.enter_context(dataset_material(wanted.dataset, "test"))
    assert wanted.phantoms is not None
    texts = [wanted.phantoms, *((wanted.train, wanted.validation) if wanted.table == 1 else ())]
    seeds = [parse_seeds(text) for text in texts]
    if len(set().union(*seeds)) < sum(map(len, seeds)):
        raise InvalidSettings(
            f"the seeds {', '.join(texts)} share patients; a test needs patients of its own"
        )
    return [phantom_material(each, vendor=wanted.vendor, work=wanted.work, tell=tell) for each in seeds]
