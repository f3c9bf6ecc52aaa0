"""A detector on cases, measured: what it found in every image, and every figure made of that."""

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
from training.phantom_cases import Traits

if TYPE_CHECKING:
    from mammo.detector import Detection
    from mammo.detector.runtime import RuntimeName

Find = Callable[[Mammogram], Sequence["Detection"]]
"""Every detection from `LOW_THRESHOLD` up."""

AP_DRAWS = 200
"""Bootstrap draws of average precision: each runs COCO's evaluation anew."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One image: what is in it and what was found."""

    image: str
    patient: str
    truth: tuple[Box, ...]
    uncertain: tuple[Box, ...]
    """Where there may be a cluster of unknown extent."""

    found: tuple[Detection, ...]
    """Those that can be called right or wrong: see `training.metrics.is_judged`."""

    traits: tuple[Traits, ...] = ()
    """Of each box of `truth`; empty where nobody knows."""

    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Boxes as x0, y0, x1, y1; detections with their score last."""
        return {
            "image": self.image,
            "patient": self.patient,
            "truth": [box.as_tuple() for box in self.truth],
            "uncertain": [box.as_tuple() for box in self.uncertain],
            "found": [[*each.box.as_tuple(), round(each.score, 5)] for each in self.found],
            "traits": [vars(each) for each in self.traits],
            "seconds": self.seconds,
        }


def finder(weights: Path, *, threads: int = 0, runtime: RuntimeName = "auto") -> Find:
    """The serving detector behind a weights file.

    Raises:
        InvalidWeights, UnusableRuntime: see `Detector.load`.
    """
    from mammo.detector import Detector

    detector = Detector.load(weights, threads=threads, runtime=runtime)
    return lambda mammogram: detector.detect(
        mammogram.pixels, threshold=LOW_THRESHOLD, spacing=mammogram.spacing
    )


def score_images(
    find: Find,
    cases: Sequence[Case],
    *,
    traits: Mapping[str, tuple[Traits, ...]] | None = None,
    progress: Progress,
) -> list[Scored]:
    """Run a detector over cases.

    Args:
        traits: SHA-256 of an image to what is known of its clusters.
    """
    scored = []
    for number, case in enumerate(cases, start=1):
        mammogram = case.read()
        began = time.perf_counter()
        found = find(mammogram)
        seconds = time.perf_counter() - began
        truth = tuple(finding.box for finding in case.truth)
        scored.append(
            Scored(
                image=case.image,
                patient=case.patient,
                truth=truth,
                uncertain=case.uncertain,
                found=tuple(judged(found, truth, uncertain=case.uncertain)),
                traits=(traits or {}).get(case.image, ()),
                seconds=round(seconds, 3),
            )
        )
        progress(number / len(cases), f"{number} of {len(cases)} images")
    return scored


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one detector on one set of images, with 95 % intervals by patient."""

    num_patients: int
    num_images: int
    num_lesions: int
    threshold: float
    ap50: Interval
    ap50_95: Interval
    sensitivity: Interval
    """At `threshold`, centre rule; so are the next three."""

    precision: Interval
    f1: Interval
    false_positives: Interval
    """Per image."""

    froc_centre: dict[float, Interval]
    """Sensitivity by false positives per image."""

    froc_iou50: dict[float, Interval]
    seconds: float
    """Median time of one image."""


def measure(scored: Sequence[Scored], *, threshold: float, draws: int = 1000, seed: int = 0) -> Measured:
    """Every figure.

    Args:
        threshold: the operating point, chosen on other patients.
        draws, seed: of the bootstrap.
    """
    owners = [image.patient for image in scored]
    hits = hits_of(scored, rule=centre_rule)
    counts = Counts.of(hits, threshold)
    shared = partial(interval, owners=owners, draws=draws, seed=seed)
    precision = partial(interval, owners=owners, draws=min(draws, AP_DRAWS), seed=seed)
    curves = _AveragePrecisions(scored)
    return Measured(
        num_patients=len(set(owners)),
        num_images=len(scored),
        num_lesions=sum(len(image.truth) for image in scored),
        threshold=threshold,
        ap50=precision(lambda weights: curves(weights).ap50),
        ap50_95=precision(lambda weights: curves(weights).ap50_95),
        sensitivity=shared(lambda weights: counts.figures(weights).sensitivity),
        precision=shared(lambda weights: counts.figures(weights).precision),
        f1=shared(lambda weights: counts.figures(weights).f1),
        false_positives=shared(lambda weights: counts.figures(weights).false_positives),
        froc_centre=_froc(hits, shared),
        froc_iou50=_froc(hits_of(scored, rule=iou_rule(0.5)), shared),
        seconds=round(float(np.median([image.seconds for image in scored])), 3) if scored else math.nan,
    )


def hits_of(scored: Sequence[Scored], *, rule: Rule) -> list[Hits]:
    """Which detections hit, image by image."""
    return [match(image.found, image.truth, uncertain=image.uncertain, rule=rule) for image in scored]


def _froc(hits: Sequence[Hits], shared: Callable[..., Interval]) -> dict[float, Interval]:
    pooled = Pooled.of(hits)

    def at(rate: float) -> Interval:
        def sensitivity(weights: Any) -> float:
            try:
                return sensitivity_at(pooled.curve(weights), rate)
            except ValueError:
                return math.nan

        return shared(sensitivity)

    return {rate: at(rate) for rate in RATES}


class _AveragePrecisions:
    """Average precision under weightings; both figures of one draw are counted once."""

    def __init__(self, scored: Sequence[Scored]) -> None:
        self._images = [(image.found, image.truth) for image in scored]
        self._known: dict[bytes, AveragePrecision] = {}

    def __call__(self, weights: Any) -> AveragePrecision:
        key = weights.tobytes()
        if key not in self._known:
            copies = zip(self._images, weights, strict=True)
            drawn = [image for image, weight in copies for _ in range(int(weight))]
            self._known[key] = average_precision(drawn)
        return self._known[key]


def breakdown(
    scored: Sequence[Scored], *, threshold: float, draws: int = 1000, seed: int = 0
) -> dict[str, dict[str, tuple[int, Interval]]]:
    """Sensitivity at the threshold by what the generator knows of each cluster: count and figure.

    Returns:
        `morphology`, `density`, `extent` -> value -> number of clusters, sensitivity. Empty without traits.
    """
    marks: list[tuple[str, Traits, bool]] = []
    for image in scored:
        kept = [each for each in image.found if each.score >= threshold]
        for box, traits in zip(image.truth, image.traits, strict=False):
            marks.append((image.patient, traits, any(centre_rule(each.box, box) for each in kept)))
    kinds: dict[str, Callable[[Traits], str]] = {
        "morphology": lambda traits: traits.morphology,
        "density": lambda traits: traits.density,
        "extent": lambda traits: _extent(traits.extent_mm),
    }
    return {kind: _by_value(marks, value, draws=draws, seed=seed) for kind, value in kinds.items() if marks}


def _by_value(
    marks: Sequence[tuple[str, Traits, bool]], value: Callable[[Traits], str], *, draws: int, seed: int
) -> dict[str, tuple[int, Interval]]:
    rows = {}
    for name in sorted({value(traits) for _, traits, _ in marks}):
        chosen = [(patient, hit) for patient, traits, hit in marks if value(traits) == name]
        hit = np.array([hit for _, hit in chosen], np.float64)
        owners = [patient for patient, _ in chosen]

        def share(weights: Any, hit: Any = hit) -> float:
            total = float(weights.sum())
            return float(weights @ hit) / total if total else math.nan

        rows[name] = len(chosen), interval(share, owners, draws=draws, seed=seed)
    return rows


def _extent(millimetres: float) -> str:
    return "below 8 mm" if millimetres < 8 else "8 to 12 mm" if millimetres < 12 else "above 12 mm"
