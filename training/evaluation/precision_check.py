"""PrecisionCheck: does a detector find the same in bfloat16 as in float32, on the validation patients?

bfloat16 moves scores. A version may serve in it only if, on patients of this site, the mean sensitivity at a few
false-positive rates (FROC) is equal, and at the operating point neither sensitivity falls nor false positives rise.
Equal means that the 95 % interval of the difference, by a paired bootstrap over patients, lies within a margin; a loss
is judged by the end of the interval that is worse.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mammo.dicom import Mammogram
from mammo.models import ModelFiles
from mammo.models.precision_notes import measured_with
from mammo.processor import has_bfloat16
from training.cases import Case, Progress
from training.evaluation.model_version import LOW_THRESHOLD
from training.metrics import Hits, Interval, Pooled, centre_rule, interval, match, sensitivity_at
from training.metrics.bootstrap import Floats
from training.metrics.ratio import ratio

if TYPE_CHECKING:  # brings torch in
    from mammo.detector import Detection

Detect = Callable[[Mammogram], Sequence["Detection"]]
"""Returns the detections with a score of at least `LOW_THRESHOLD`."""

MIN_IOU = 0.5
"""From which on detections of both precisions are the same one."""


@dataclass(frozen=True, kw_only=True)
class PrecisionRule:
    """When bfloat16 counts as equal to float32."""

    rates: tuple[float, ...] = (0.25, 0.5, 1.0)
    """False positives per image at which sensitivity is compared: those of the gate."""

    margin: float = 0.02
    """Largest difference of the FROC's sensitivity, and largest loss of sensitivity at the operating point."""

    false_positive_margin: float = 0.05
    """Largest rise of the false positives per image at the operating point."""

    level: float = 0.95
    draws: int = 2000
    min_patients: int = 12
    """With fewer, or with fewer lesions, an interval of zero width would say nothing."""

    min_lesions: int = 20
    min_speedup: float = 1.2
    """Of the detector's processor time in the median image; below, there is nothing to gain."""


@dataclass(frozen=True, kw_only=True)
class PrecisionCheck:
    """The comparison of both precisions. Differences are bfloat16's figure minus float32's."""

    passed: bool
    sentence: str
    num_patients: int
    num_images: int
    num_lesions: int
    froc: Interval
    """Mean sensitivity at the rule's rates."""

    sensitivity: Interval
    """At the operating point."""

    false_positives: Interval
    """Per image, at the operating point."""

    largest_score_change: float
    """Of a detection; one that only one precision has changed by its whole score."""

    speedup: float
    """Of the detector's processor time in the median image."""

    rule: PrecisionRule

    def to_json(self) -> dict[str, Any]:
        """Return the detail of a note; see `mammo.models.precision_notes`."""
        return {**asdict(self), "measured_with": measured_with()}


def check_model(
    files: ModelFiles,
    cases: Sequence[Case],
    *,
    threads: int,
    exported: Path | None,
    rule: PrecisionRule,
    progress: Progress,
) -> PrecisionCheck | None:
    """Compare both precisions of a version's detector; None where `auto` is not OpenVINO, or has no bfloat16.

    Args:
        cases: of validation patients.
        threads, exported: see `mammo.pipeline.Prelabeller.load`.
    """
    from mammo.detector import Detector

    if not has_bfloat16():
        return None
    cache = exported and exported / "detector"
    float32, bfloat16 = (
        Detector.load(files.detector, threads=threads, cache=cache, bfloat16=allowed)
        for allowed in (False, True)
    )
    if (float32.computes, bfloat16.computes) != ("openvino", "openvino-bf16"):
        return None

    def detect(detector: Detector, mammogram: Mammogram) -> Sequence[Detection]:
        return detector.detect(mammogram.pixels, threshold=LOW_THRESHOLD, spacing=mammogram.spacing)

    return check_precision(
        partial(detect, float32),
        partial(detect, bfloat16),
        cases,
        threshold=files.threshold,
        rule=rule,
        progress=progress,
    )


def check_precision(
    float32: Detect,
    bfloat16: Detect,
    cases: Sequence[Case],
    *,
    threshold: float,
    rule: PrecisionRule,
    progress: Progress,
) -> PrecisionCheck:
    """Compare the detections of both precisions.

    Args:
        cases: of validation patients.
        threshold: the operating point.
        progress: called after every image; may raise `Cancelled`.
    """
    before, after, changes, speedups = [], [], [0.0], []
    for number, case in enumerate(cases, 1):
        mammogram = case.read()
        began = time.process_time()
        old = float32(mammogram)
        between = time.process_time()
        new = bfloat16(mammogram)
        speedups.append((between - began) / max(time.process_time() - between, 1e-9))
        changes.append(largest_change(old, new))
        before.append(_hits(old, case))
        after.append(_hits(new, case))
        progress(number / len(cases), f"precision on {number} of {len(cases)} validation images")
    owners = [case.patient for case in cases]
    lesions = sum(each.num_lesions for each in before)

    def difference(figure: Callable[[Sequence[Hits]], Callable[[Floats], float]]) -> Interval:
        old, new = figure(before), figure(after)
        return interval(
            lambda weights: new(weights) - old(weights), owners, level=rule.level, draws=rule.draws
        )

    figures = {
        "froc": difference(lambda images: _froc(images, rule.rates)),
        "sensitivity": difference(lambda images: _share_found(images, threshold)),
        "false_positives": difference(lambda images: _false_positives(images, threshold)),
    }
    speedup = statistics.median(speedups) if speedups else math.nan
    problem = _problem(figures, len(set(owners)), lesions, speedup, rule)
    largest = max(changes)
    return PrecisionCheck(
        passed=not problem,
        sentence=_sentence(problem, figures, largest, speedup, rule),
        num_patients=len(set(owners)),
        num_images=len(cases),
        num_lesions=lesions,
        largest_score_change=largest,
        speedup=speedup,
        rule=rule,
        **figures,
    )


def largest_change(old: Sequence[Detection], new: Sequence[Detection]) -> float:
    """Return the largest change of a score between two lists of detections of one image."""
    changes, free = [0.0], list(new)
    for detection in old:
        partner = max(free, key=lambda each: each.box.iou(detection.box), default=None)
        if partner is None or partner.box.iou(detection.box) < MIN_IOU:
            changes.append(detection.score)
            continue
        free.remove(partner)
        changes.append(abs(partner.score - detection.score))
    return max(*changes, *(each.score for each in free), 0.0)


def _hits(detections: Sequence[Detection], case: Case) -> Hits:
    truth = [finding.box for finding in case.truth]
    return match(detections, truth, uncertain=case.uncertain, rule=centre_rule)


def _froc(images: Sequence[Hits], rates: Sequence[float]) -> Callable[[Floats], float]:
    pooled = Pooled.of(images)

    def mean_sensitivity(weights: Floats) -> float:
        try:
            curve = pooled.curve(weights)
        except ValueError:  # no drawn patient has a lesion
            return math.nan
        return float(np.mean([sensitivity_at(curve, rate) for rate in rates]))

    return mean_sensitivity


def _share_found(images: Sequence[Hits], threshold: float) -> Callable[[Floats], float]:
    found = np.array([_count(each, threshold, true=True) for each in images], np.float64)
    lesions = np.array([each.num_lesions for each in images], np.float64)
    return lambda weights: ratio(float(weights @ found), float(weights @ lesions))


def _false_positives(images: Sequence[Hits], threshold: float) -> Callable[[Floats], float]:
    false = np.array([_count(each, threshold, true=False) for each in images], np.float64)
    return lambda weights: ratio(float(weights @ false), float(weights.sum()))


def _count(hits: Hits, threshold: float, *, true: bool) -> int:
    return sum(score >= threshold and hit is true for score, hit in zip(hits.scores, hits.true, strict=True))


def _problem(
    figures: dict[str, Interval], patients: int, lesions: int, speedup: float, rule: PrecisionRule
) -> str:
    """Return why bfloat16 is not used; empty if it is."""
    if patients < rule.min_patients or lesions < rule.min_lesions:
        return (
            f"{patients} validation patients with {lesions} lesions are too few to tell; at least "
            f"{rule.min_patients} with {rule.min_lesions} are needed"
        )
    froc, sensitivity, false = figures.values()
    # Each comparison is also false if its figure is NaN.
    if not (-rule.margin <= froc.low and froc.high <= rule.margin):
        return f"mean sensitivity over the FROC's rates may differ by more than {rule.margin:g}"
    if not -rule.margin <= sensitivity.low:
        return f"sensitivity at the operating point may fall by more than {rule.margin:g}"
    if not false.high <= rule.false_positive_margin:
        return f"false positives per image at the operating point may rise by more than {rule.false_positive_margin:g}"
    if not speedup >= rule.min_speedup:
        return f"the detector is {speedup:.2f} times as fast, and {rule.min_speedup:g} is asked for"
    return ""


def _sentence(
    problem: str, figures: dict[str, Interval], largest: float, speedup: float, rule: PrecisionRule
) -> str:
    froc, sensitivity, false = figures.values()
    numbers = (
        f"bfloat16 minus float32: sensitivity over the FROC {_signed(froc)}, at the operating point "
        f"{_signed(sensitivity)}, false positives per image {_signed(false)} ({rule.level:.0%} by patient); largest "
        f"change of a score {largest:.3f}; {speedup:.2f} times as fast"
    )
    return f"float32 serves: {problem}; {numbers}" if problem else f"bfloat16 may serve; {numbers}"


def _signed(each: Interval) -> str:
    return f"{each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f})"
