"""What `yolo-mlsam evaluate detector` does."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.material import Material, Source, shown_progress, source_material, trained_on_warning
from cli.model_files import find_model
from mammo.errors import InsufficientData
from mammo.site import Site
from training.cases import Progress

if TYPE_CHECKING:
    from training.evaluation.detector import ScoredImage

PAPERS_THRESHOLD = 0.2
"""Where no validation patients set one: section 4 of the paper."""


@dataclass(frozen=True, kw_only=True)
class DetectorChoice:
    """Which detector is measured."""

    model: str
    """Model version."""

    weights: Path | None = None
    """A file instead."""


@dataclass(frozen=True, kw_only=True)
class ScoredDetector:
    """Detections of one detector on the test images."""

    scored: list[ScoredImage]
    facts: dict[str, str]
    threshold: float
    """Its own operating point."""


def evaluate_detector_command(
    source: Source, choice: DetectorChoice, *, threshold: float | None, out: Path
) -> list[Path]:
    """Measure, and write the report; returns the files written.

    Raises:
        InsufficientData: no cluster to find in the test material.
        InvalidSettings: options that do not go together.
    """
    from training.evaluation.detector import measure
    from training.evaluation.detector_report import detector_report

    with ExitStack() as stack:
        tell = stack.enter_context(shown_progress("evaluate"))
        (test,) = source_material(source, stack, tell)
        of = score_detector(choice, test, tell=tell)
        found = measure(of.scored, threshold=threshold or of.threshold)
        return detector_report(of.scored, found, facts=of.facts).write(out, name="detector")


def score_detector(choice: DetectorChoice, test: Material, *, tell: Progress) -> ScoredDetector:
    """Run a detector over the test images at a low threshold.

    Raises:
        InsufficientData: no cluster to find in them.
    """
    from mammo.detector import load_network
    from training.evaluation.detector import low_threshold_detector, score_images

    require_clusters(test)
    site = Site.load()
    settings = site.settings
    if choice.weights is None:
        files = find_model(choice.model, site)
        name, weights, threshold = files.version, files.detector, files.threshold
        known = load_network(weights)[1]
    else:
        name, weights = choice.weights.name, choice.weights
        known = load_network(weights)[1]
        threshold = known.get("operating_point", {}).get("threshold", PAPERS_THRESHOLD)
    facts = {"model": name, "data": test.name}
    if warning := trained_on_warning(known, test):
        facts["warning"] = warning
    detect = low_threshold_detector(weights, threads=settings.threads, runtime=settings.runtime)
    scored = score_images(detect, test.cases, traits=test.traits, progress=tell)
    return ScoredDetector(scored=scored, facts=facts, threshold=threshold)


def require_clusters(test: Material) -> None:
    """Raises InsufficientData when no image of the test material holds a cluster."""
    if not any(case.truth for case in test.cases):
        raise InsufficientData(
            f"{test.name} holds no cluster: there is nothing to find, so nothing to measure"
        )
