"""Evaluation of a detector on cases with known truth: its detections in every image, and the figures over all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mammo.dicom import Mammogram
from mammo.geometry import Box
from training.cases import Case, Progress
from training.evaluation.model_version import LOW_THRESHOLD
from training.metrics import (
    RATES,
    AveragePrecision,
    Counts,
    Hits,
    Interval,
    Pooled,
    Rule,
    average_precision,
    centre_rule,
    interval,
    iou_rule,
    judged,
    match,
    sensitivity_at,
)
from training.metrics.ratio import ratio
from training.phantom_cases import Traits

if TYPE_CHECKING:
    from mammo.detector import Detection
    from mammo.detector.runtime import RuntimeName

Detect = Callable[[Mammogram], Sequence["Detection"]]
"""Returns the detections with a score of at least `LOW_THRESHOLD`."""

AP_DRAWS = 200
"""Maximum number of bootstrap draws of average precision: each draw runs COCO's evaluation once."""


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """The truth and the detections of one image."""

    image: str
    patient: str
    truth: tuple[Box, ...]
    uncertain: tuple[Box, ...]
    """Boxes around places where there may be a cluster of unknown extent."""

    detections: tuple[Detection, ...]
    """Those that can be judged: see `training.metrics.is_judged`."""

    traits: tuple[Traits, ...] = ()
    """Of each box of `truth`; empty when unknown."""

    seconds: float
    """Duration of the detection."""

    def to_json(self) -> dict[str, Any]:
        """Boxes as x0, y0, x1, y1 in pixels; `found` lists the detections, each with its score last."""
        return {
            "image": self.image,
            "patient": self.patient,
            "truth": [box.as_tuple() for box in self.truth],
            "uncertain": [box.as_tuple() for box in self.uncertain],
            "found": [[*each.box.as_tuple(), round(each.score, 5)] for each in self.detections],
            "traits": [vars(each) for each in self.traits],
            "seconds": self.seconds,
        }


def low_threshold_detector(weights: Path, *, threads: int = 0, runtime: RuntimeName = "auto") -> Detect:
    """Load the serving detector of a weights file, at `LOW_THRESHOLD`.

    Raises:
        InvalidWeights, UnusableRuntime: see `Detector.load`.
    """
    from mammo.detector import Detector

    detector = Detector.load(weights, threads=threads, runtime=runtime)
    return lambda mammogram: detector.detect(
        mammogram.pixels, threshold=LOW_THRESHOLD, spacing=mammogram.spacing
    )


def score_images(
    detect: Detect,
    cases: Sequence[Case],
    *,
    traits: Mapping[str, tuple[Traits, ...]] | None = None,
    progress: Progress,
) -> list[ScoredImage]:
    """Run a detector over cases.

    Args:
        traits: SHA-256 of an image to the traits of its clusters.
        progress: called after every image.
    """
    scored = []
    for number, case in enumerate(cases, start=1):
        mammogram = case.read()
        began = time.perf_counter()
        detections = detect(mammogram)
        seconds = time.perf_counter() - began
        truth = tuple(finding.box for finding in case.truth)
        scored.append(
            ScoredImage(
                image=case.image,
                patient=case.patient,
                truth=truth,
                uncertain=case.uncertain,
                detections=tuple(judged(detections, truth, uncertain=case.uncertain)),
                traits=(traits or {}).get(case.image, ()),
                seconds=round(seconds, 3),
            )
        )
        progress(number / len(cases), f"{number} of {len(cases)} images")
    return scored


@dataclass(frozen=True, kw_only=True)
class DetectorFigures:
    """Figures of one detector on one set of images, with 95 % intervals over patients."""

    num_patients: int
    num_images: int
    num_lesions: int
    threshold: float
    ap50: Interval
    ap50_95: Interval
    sensitivity: Interval
    """At `threshold`, by the centre rule, as are the next three."""

    precision: Interval
    f1: Interval
    false_positives: Interval
    """Per image."""

    froc_centre: dict[float, Interval]
    """Sensitivity by false positives per image, centre rule."""

    froc_iou50: dict[float, Interval]
    """Sensitivity by false positives per image, IoU of at least 0.5."""

    seconds: float
    """Median duration of one image."""


def measure(
    scored: Sequence[ScoredImage], *, threshold: float, draws: int = 1000, seed: int = 0
) -> DetectorFigures:
    """Compute every figure.

    Args:
        threshold: the operating point, chosen on other patients.
        draws, seed: of the bootstrap.
    """
    owners = [image.patient for image in scored]
    hits = hits_of(scored, rule=centre_rule)
    counts = Counts.of(hits, threshold)
    bootstrap = partial(interval, owners=owners, draws=draws, seed=seed)
    ap_bootstrap = partial(interval, owners=owners, draws=min(draws, AP_DRAWS), seed=seed)
    precisions = _AveragePrecisions(scored)
    return DetectorFigures(
        num_patients=len(set(owners)),
        num_images=len(scored),
        num_lesions=sum(len(image.truth) for image in scored),
        threshold=threshold,
        ap50=ap_bootstrap(lambda weights: precisions(weights).ap50),
        ap50_95=ap_bootstrap(lambda weights: precisions(weights).ap50_95),
        sensitivity=bootstrap(lambda weights: counts.figures(weights).sensitivity),
        precision=bootstrap(lambda weights: counts.figures(weights).precision),
        f1=bootstrap(lambda weights: counts.figures(weights).f1),
        false_positives=bootstrap(lambda weights: counts.figures(weights).false_positives),
        froc_centre=froc_intervals(hits, bootstrap),
        froc_iou50=froc_intervals(hits_of(scored, rule=iou_rule(0.5)), bootstrap),
        seconds=round(float(np.median([image.seconds for image in scored])), 3) if scored else math.nan,
    )


def hits_of(scored: Sequence[ScoredImage], *, rule: Rule) -> list[Hits]:
    """Match the detections of every image with its truth."""
    return [match(image.detections, image.truth, uncertain=image.uncertain, rule=rule) for image in scored]


def froc_intervals(
    hits: Sequence[Hits], bootstrap: Callable[..., Interval], *, counted: Sequence[bool] | None = None
) -> dict[float, Interval]:
    """Sensitivity at each of `RATES`; NaN without a lesion, or without an image that counts for false positives.

    Args:
        bootstrap: makes an interval of a figure that is a function of image weights.
        counted: see `Pooled.of`.
    """
    pooled = Pooled.of(hits, counted=counted)

    def at(rate: float) -> Interval:
        def sensitivity(weights: Any) -> float:
            try:
                return sensitivity_at(pooled.curve(weights), rate)
            except ValueError:
                return math.nan

        return bootstrap(sensitivity)

    return {rate: at(rate) for rate in RATES}


class _AveragePrecisions:
    """Average precision as a function of image weights; cached, so that both figures of a draw take one evaluation."""

    def __init__(self, scored: Sequence[ScoredImage]) -> None:
        self._images = [(image.detections, image.truth) for image in scored]
        self._cache: dict[bytes, AveragePrecision] = {}

    def __call__(self, weights: Any) -> AveragePrecision:
        key = weights.tobytes()
        if key not in self._cache:
            copies = zip(self._images, weights, strict=True)
            drawn = [image for image, weight in copies for _ in range(int(weight))]
            self._cache[key] = average_precision(drawn)
        return self._cache[key]


def breakdown(
    scored: Sequence[ScoredImage], *, threshold: float, draws: int = 1000, seed: int = 0
) -> dict[str, dict[str, tuple[int, Interval]]]:
    """Sensitivity at the threshold, by the traits of the clusters.

    Returns:
        `morphology`, `density`, `extent` -> value -> number of clusters, sensitivity. Empty without traits.
    """
    clusters: list[tuple[str, Traits, bool]] = []  # patient, traits, whether it was hit
    for image in scored:
        shown = [each for each in image.detections if each.score >= threshold]
        for box, traits in zip(image.truth, image.traits, strict=False):
            clusters.append((image.patient, traits, any(centre_rule(each.box, box) for each in shown)))
    if not clusters:
        return {}
    kinds: dict[str, Callable[[Traits], str]] = {
        "morphology": lambda traits: traits.morphology,
        "density": lambda traits: traits.density,
        "extent": lambda traits: _extent_range(traits.extent_mm),
    }
    return {kind: _by_value(clusters, value, draws=draws, seed=seed) for kind, value in kinds.items()}


def _by_value(
    clusters: Sequence[tuple[str, Traits, bool]], value: Callable[[Traits], str], *, draws: int, seed: int
) -> dict[str, tuple[int, Interval]]:
    rows = {}
    for name in sorted({value(traits) for _, traits, _ in clusters}):
        chosen = [(patient, hit) for patient, traits, hit in clusters if value(traits) == name]
        hits = np.array([hit for _, hit in chosen], np.float64)
        owners = [patient for patient, _ in chosen]

        def sensitivity(weights: Any, hits: Any = hits) -> float:
            return ratio(float(weights @ hits), float(weights.sum()))

        rows[name] = len(chosen), interval(sensitivity, owners, draws=draws, seed=seed)
    return rows


def _extent_range(millimetres: float) -> str:
    return "below 8 mm" if millimetres < 8 else "8 to 12 mm" if millimetres < 12 else "above 12 mm"
