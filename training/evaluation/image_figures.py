"""Figures of a detector on normal and positive images: FROC per normal image, by lesion size, per cm² and per object.

The false-positive rate is that of *normal* images where these are given: how often the images of a healthy woman are
marked. Otherwise it is that of all images (`EvaluationSet.on_normals`).

Two measures follow HDoGReg (Marasinou et al. 2021, arXiv 2102.00754), so that a line can be drawn to its figures; its
objects are single calcifications, ours are groups:

    IoU per object      of each true box, the highest intersection over union with a finding; 0 where there is none
    FP per cm²          false positives / area of the breasts, by the same images as the false-positive rate
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mammo.geometry import Box, Spacing
from training.evaluation.detector import ScoredImage, froc_intervals, hits_of
from training.evaluation.image_cases import EvaluationSet
from training.metrics import Counts, Hits, Interval, centre_rule, froc, interval
from training.metrics.bootstrap import Floats
from training.metrics.ratio import ratio

SIZES_MM = (3.0, 6.0, 10.0, 20.0)
"""Limits of the ranges of lesion size: the longer side of the true box."""

SCORES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Scores at which false positives are counted."""

SIZE_RATE = 1.0
"""False positives per image at which sensitivity by size is given, besides the operating point."""


@dataclass(frozen=True, kw_only=True)
class BySize:
    """Sensitivity of the lesions of one range of sizes."""

    lesions: int
    at_operating_point: Interval
    at_rate: Interval
    """At `SIZE_RATE` false positives per image; NaN where no threshold gives it."""


@dataclass(frozen=True, kw_only=True)
class ImageFigures:
    """Figures of one detector, with 95 % intervals over patients; NaN where undefined."""

    threshold: float
    """Operating point."""

    num_lesions: int
    froc: dict[float, Interval]
    """Sensitivity by false positives per (normal) image, centre rule."""

    found: dict[float, int]
    """Number of lesions found at the same rates."""

    sensitivity: Interval
    """At the operating point, as are the next five."""

    num_found: int
    false_positives: Interval
    """Per normal image; without normals, per image."""

    clean: Interval
    """Normal images without a finding / normal images."""

    false_positives_cm2: Interval
    iou: Interval
    """Mean intersection over union per lesion."""

    by_score: dict[float, Interval]
    """False positives per (normal) image at each of `SCORES`."""

    by_size: dict[str, BySize]
    seconds: float
    """Median duration of one image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFacts:
    """What is counted by image: vectors over the images."""

    is_counted: Floats
    """1 if false positives of the image count, otherwise 0."""

    is_normal: Floats
    breast_cm2: Floats
    lesions: Floats
    spacings: tuple[Spacing, ...]

    @classmethod
    def of(cls, scored: Sequence[ScoredImage], evaluated: EvaluationSet) -> ImageFacts:
        """Look up the facts of scored images."""
        images = evaluated.by_image
        ordered = [images[each.image] for each in scored]
        normal = np.array([image.is_normal for image in ordered], np.float64)
        return cls(
            is_counted=normal if evaluated.on_normals else np.ones(len(ordered)),
            is_normal=normal,
            breast_cm2=np.array([image.breast_cm2 for image in ordered], np.float64),
            lesions=np.array([len(image.case.truth) for image in ordered], np.float64),
            spacings=tuple(image.spacing for image in ordered),
        )


def measure_images(
    scored: Sequence[ScoredImage],
    evaluated: EvaluationSet,
    *,
    threshold: float,
    draws: int,
    seed: int,
    sizes_mm: Sequence[float] = SIZES_MM,
) -> ImageFigures:
    """Compute every figure of one detector.

    Args:
        threshold: the operating point, chosen on other patients.
        draws, seed: of the bootstrap.
        sizes_mm: limits of the ranges of lesion size, ascending.
    """
    facts = ImageFacts.of(scored, evaluated)
    owners = [image.patient for image in scored]
    bootstrap = partial(interval, owners=owners, draws=draws, seed=seed)
    hits = hits_of(scored, rule=centre_rule)
    counts = Counts.of(hits, threshold)
    counted = facts.is_counted
    overlaps = np.array([_sum_of_ious(image, threshold) for image in scored], np.float64)
    has_none = facts.is_normal * (counts.false == 0)

    def mean(part: Floats, whole: Floats) -> Interval:
        return bootstrap(lambda weights: ratio(float(weights @ part), float(weights @ whole)))

    curve = froc_intervals(hits, bootstrap, counted=counted.astype(bool).tolist())
    lesions = int(facts.lesions.sum())
    return ImageFigures(
        threshold=threshold,
        num_lesions=lesions,
        froc=curve,
        found={
            rate: 0 if math.isnan(each.value) else round(each.value * lesions) for rate, each in curve.items()
        },
        sensitivity=mean(counts.true, facts.lesions),
        num_found=int(counts.true.sum()),
        false_positives=mean(counts.false * counted, counted),
        clean=mean(has_none, facts.is_normal),
        false_positives_cm2=mean(counts.false * counted, facts.breast_cm2 * counted),
        iou=mean(overlaps, facts.lesions),
        by_score={score: mean(Counts.of(hits, score).false * counted, counted) for score in SCORES},
        by_size=_by_size(
            scored, facts, (threshold, threshold_of(hits, counted, SIZE_RATE)), mean, sizes_mm=sizes_mm
        ),
        seconds=round(float(np.median([image.seconds for image in scored])), 3) if scored else math.nan,
    )


def size_range(millimetres: float, sizes_mm: Sequence[float] = SIZES_MM) -> str:
    """Return the name of the range of sizes that a lesion belongs to."""
    for low, high in zip((0.0, *sizes_mm), sizes_mm, strict=False):
        if millimetres < high:
            return f"below {high:g} mm" if low == 0 else f"{low:g} to {high:g} mm"
    return f"{sizes_mm[-1]:g} mm and more"


def longest_mm(box: Box, spacing: Spacing) -> float:
    """Return the longer side of a box, in mm."""
    return max(box.width * spacing.column_mm, box.height * spacing.row_mm)


def threshold_of(hits: Sequence[Hits], counted: Floats, rate: float) -> float:
    """Return the lowest threshold with at most `rate` false positives per counted image; NaN without a lesion."""
    try:
        curve = froc(hits, counted=counted.astype(bool).tolist())
    except ValueError:
        return math.nan
    return float(curve.thresholds[curve.false_positives <= rate + 1e-9][-1])


def best_hit(image: ScoredImage, lesion: Box) -> float:
    """Return the highest score of a detection that hits a lesion; 0 if none does."""
    return max((each.score for each in image.detections if centre_rule(each.box, lesion)), default=0.0)


def _sum_of_ious(image: ScoredImage, threshold: float) -> float:
    """Sum of the highest IoU of each lesion of an image with a finding."""
    shown = [each.box for each in image.detections if each.score >= threshold]
    return sum(max((lesion.iou(box) for box in shown), default=0.0) for lesion in image.truth)


def _by_size(
    scored: Sequence[ScoredImage],
    facts: ImageFacts,
    thresholds: tuple[float, float],
    mean: Callable[[Floats, Floats], Interval],
    *,
    sizes_mm: Sequence[float],
) -> dict[str, BySize]:
    """Sensitivity by range of size, smallest first.

    Args:
        thresholds: the operating point, and that of `SIZE_RATE`.
    """
    count: dict[str, list[Floats]] = {}  # lesions, found at each threshold: by image
    for index, (image, spacing) in enumerate(zip(scored, facts.spacings, strict=True)):
        for lesion in image.truth:
            name = size_range(longest_mm(lesion, spacing), sizes_mm)
            vectors = count.setdefault(name, [np.zeros(len(scored)) for _ in range(3)])
            vectors[0][index] += 1
            for found, threshold in zip(vectors[1:], thresholds, strict=True):
                found[index] += best_hit(image, lesion) >= threshold
    order = [size_range(limit - 1, sizes_mm) for limit in (*sizes_mm, sizes_mm[-1] + 2)]
    return {
        name: BySize(
            lesions=int(count[name][0].sum()),
            at_operating_point=mean(count[name][1], count[name][0]),
            at_rate=mean(count[name][2], count[name][0]),
        )
        for name in order
        if name in count
    }
