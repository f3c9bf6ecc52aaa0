"""Figures of simulated projects: seconds, scores and their paired differences, with intervals over patients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.loop.gestures import DECISIONS, Tool, prices
from benchmarks.loop.simulation import ReadImage, Simulated
from training.evaluation.model_version import Evaluation
from training.gate.gate import GateRule, primary_score
from training.metrics import Interval, interval
from training.metrics.bootstrap import Floats
from training.metrics.ratio import ratio

RULE = GateRule()
"""Whose primary score is the score of the frozen patients."""

Projects = Mapping[int, Simulated]
"""The simulated projects of one arm, by seed."""


def seconds_of(image: ReadImage, *, tool: Tool, reading: float) -> float:
    """Return the seconds of one image: gestures, decisions, and so many of reading."""
    return prices().work(image.tally, tool=tool) + reading


def seconds(projects: Projects, number: int, *, tool: Tool = "polygon", reading: float = 0.0) -> float:
    """Return the mean seconds per image of a round over all projects; NaN without an image."""
    values = [
        seconds_of(image, tool=tool, reading=reading)
        for project in projects.values()
        for image in project.images
        if image.round == number
    ]
    return ratio(sum(values), len(values))


def flawless(projects: Projects, number: int) -> float:
    """Return the mean seconds per image of a round if every prelabel were the truth: the least that any model costs."""
    values = [
        prices().work({DECISIONS: 1 + image.lesions, "submit and see the next task": 1}, tool="polygon")
        for project in projects.values()
        for image in project.images
        if image.round == number
    ]
    return ratio(sum(values), len(values))


def saved(ours: Projects, theirs: Projects, rounds: Sequence[int], *, reading: float = 0.0) -> Interval:
    """Return which share of the other arm's seconds is saved on the same images; NaN without common projects.

    Both arms read the same images in these rounds if their order is the same; otherwise the shares of different images
    are compared, and no image is paired.
    """
    first, second, owners = [], [], []
    for seed in sorted(ours.keys() & theirs.keys()):
        mine, other = (
            {image.image: image for image in each[seed].images if image.round in rounds}
            for each in (ours, theirs)
        )
        for name in sorted(mine.keys() | other.keys()):
            image = mine.get(name) or other[name]
            first.append(_seconds(mine.get(name), reading))
            second.append(_seconds(other.get(name), reading))
            owners.append(f"{seed}/{image.patient}")
    if not owners:
        return Interval(math.nan, math.nan, math.nan)
    one, two = np.array(first), np.array(second)
    return interval(lambda weights: 1 - ratio(float(weights @ one), float(weights @ two)), owners)


def _seconds(image: ReadImage | None, reading: float) -> float:
    return seconds_of(image, tool="polygon", reading=reading) if image else 0.0


def score(projects: Projects, number: int) -> Interval:
    """Return the primary score on the frozen patients of what served a round, the mean over the projects."""
    return _scores([(project, number, 1.0) for project in projects.values()])


def gained(ours: Projects, theirs: Projects, number: int) -> Interval:
    """Return our score minus theirs on the same frozen patients, the mean over the common projects."""
    common = sorted(ours.keys() & theirs.keys())
    signed = [(each[seed], number, sign) for seed in common for each, sign in ((ours, 1.0), (theirs, -1.0))]
    return _scores(signed)


def _scores(signed: Sequence[tuple[Simulated, int, float]]) -> Interval:
    """The sum of the scores by sign, divided by the number of seeds; the draws of a seed's patients are shared."""
    evaluations: list[tuple[int, float, Evaluation]] = []
    for project, number, sign in signed:
        evaluation = project.frozen(number) if number <= len(project.rounds) else None
        if evaluation is None:
            return Interval(math.nan, math.nan, math.nan)
        evaluations.append((project.seed, sign, evaluation))
    owners: list[str] = []
    begins: dict[int, int] = {}
    for seed, _, evaluation in evaluations:
        if seed not in begins:
            begins[seed] = len(owners)
            owners += [f"{seed}/{image.patient}" for image in evaluation.images]
    if not owners:
        return Interval(math.nan, math.nan, math.nan)
    scores = [
        (sign, begins[seed], len(evaluation.images), primary_score(evaluation, rule=RULE))
        for seed, sign, evaluation in evaluations
    ]

    def statistic(weights: Floats) -> float:
        total = sum(sign * of(weights[begin : begin + size]) for sign, begin, size, of in scores)
        return float(total) / len(begins)

    return interval(statistic, owners)


def hours_until(project: Simulated, target: float, *, reading: float) -> float:
    """Return the annotator hours spent before a model that reaches the target served; infinite: none did.

    Args:
        target: primary score on the frozen patients.
    """
    for each in project.rounds:
        evaluation = project.frozen(each.number)
        if evaluation is not None and _value(evaluation) >= target:
            spent = [
                seconds_of(image, tool="polygon", reading=reading)
                for image in project.images
                if image.round < each.number
            ]
            return sum(spent) / 3600
    return math.inf


def _value(evaluation: Evaluation) -> float:
    return float(primary_score(evaluation, rule=RULE)(np.ones(len(evaluation.images))))


@dataclass(frozen=True, kw_only=True)
class Labels:
    """How good the labels of an arm are, against the exact truth."""

    found: float
    """Share of the lesions that have a label."""

    false: float
    """Labels without a lesion, per image."""

    dice: float
    """Mean over the lesions; 0 for a missed one."""

    @classmethod
    def of(cls, projects: Projects) -> Labels:
        images = [image for project in projects.values() for image in project.images]
        lesions = sum(image.lesions for image in images)
        return cls(
            found=ratio(sum(image.found for image in images), lesions),
            false=ratio(sum(image.false for image in images), len(images)),
            dice=ratio(sum(sum(image.dice) for image in images), lesions),
        )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What became of prelabels, as the product counts it, where they were shown or where the reader was blind."""

    images: int
    untouched: float
    """Share of the images whose prelabel is the annotation."""

    dice: float
    """Mean Dice of prelabel and annotation."""

    @classmethod
    def of(cls, projects: Projects, arm: str) -> Shown:
        """Args: arm: `prelabelled` or `control`."""
        efforts = [each for project in projects.values() for each in project.efforts if each["arm"] == arm]
        untouched = [not (each["edited"] or each["added"] or each["deleted"]) for each in efforts]
        dice = [each["dice"] for each in efforts if each["dice"] is not None]
        return cls(
            images=len(efforts),
            untouched=ratio(sum(untouched), len(efforts)),
            dice=ratio(sum(dice), len(dice)),
        )
