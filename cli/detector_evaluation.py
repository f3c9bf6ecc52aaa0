"""What `yolo-mlsam evaluate detector` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.case_source import CaseSource
from cli.progress import progress_bar
from mammo.errors import InsufficientData
from mammo.site import Site

if TYPE_CHECKING:
    from training.case_sets import CaseSet
    from training.cases import Progress
    from training.evaluation.detector import ScoredImage

PAPER_THRESHOLD = 0.2
"""Operating point for weights without one: section 4 of the paper."""


@dataclass(frozen=True, kw_only=True)
class DetectorChoice:
    """The detector to measure."""

    model: str
    """Model version."""

    weights: Path | None = None
    """A weight file to use instead."""


@dataclass(frozen=True, kw_only=True)
class ChosenDetector:
    """A detector that was found, and its operating point."""

    name: str
    """Model version, or name of the weight file."""

    weights: Path
    facts: dict[str, Any]
    """Stored with the weights."""

    threshold: float


@dataclass(frozen=True, kw_only=True)
class ScoredDetector:
    """Detections of one detector on the test images."""

    scored: list[ScoredImage]
    facts: dict[str, str]
    """For the report: model, data, and a warning if there is one."""

    threshold: float
    """Operating point of the detector."""


def evaluate_detector(
    source: CaseSource, choice: DetectorChoice, *, threshold: float | None, out: Path
) -> list[Path]:
    """Measure a detector; return the files written.

    Args:
        threshold: operating point; None: the detector's own.

    Raises:
        InsufficientData: the test cases have no cluster.
        InvalidSettings: the options contradict each other.
    """
    from training.evaluation.detector import measure
    from training.evaluation.detector_report import detector_report

    with progress_bar("evaluate") as progress, source.open(["test"], progress=progress) as (test,):
        detector = score_detector(choice, test, progress=progress)
        measured = measure(detector.scored, threshold=threshold or detector.threshold)
        return detector_report(detector.scored, measured, facts=detector.facts).write(out, name="detector")


def chosen_detector(choice: DetectorChoice, site: Site) -> ChosenDetector:
    """Find the weights of a model version, or read a weight file.

    Raises:
        ModelNotFound: there is no such version.
        InvalidWeights: the file is damaged, or is no detector.
    """
    from mammo.detector import load_network

    if choice.weights is None:
        files = site.model_files(choice.model)
        facts = load_network(files.detector)[1]
        return ChosenDetector(
            name=files.version, weights=files.detector, facts=facts, threshold=files.threshold
        )
    facts = load_network(choice.weights)[1]
    threshold = facts.get("operating_point", {}).get("threshold", PAPER_THRESHOLD)
    return ChosenDetector(name=choice.weights.name, weights=choice.weights, facts=facts, threshold=threshold)


def score_detector(choice: DetectorChoice, test: CaseSet, *, progress: Progress) -> ScoredDetector:
    """Run a detector on the test images at a low threshold.

    Raises:
        InsufficientData: the test cases have no cluster.
    """
    from training.case_sets import trained_on_warning
    from training.evaluation.detector import low_threshold_detector, score_images

    require_clusters(test)
    site = Site.load()
    chosen = chosen_detector(choice, site)
    facts = {"model": chosen.name, "data": test.name}
    if warning := trained_on_warning(chosen.facts, test):
        facts["warning"] = warning
    detect = low_threshold_detector(
        chosen.weights, threads=site.settings.threads, runtime=site.settings.runtime
    )
    scored = score_images(detect, test.cases, traits=test.traits, progress=progress)
    return ScoredDetector(scored=scored, facts=facts, threshold=chosen.threshold)


def require_clusters(test: CaseSet) -> None:
    """Raise InsufficientData if the test cases have no cluster."""
    if not any(case.truth for case in test.cases):
        raise InsufficientData(f"{test.name}: no cluster to detect, so nothing can be measured")
