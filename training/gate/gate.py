"""The gate: does a challenger replace the champion? A pure decision that gives its reason and every number.

Both were evaluated on the same images of the same held-out patients. The score is the mean of detection (mean
sensitivity at a few false-positive rates) and segmentation (mean Dice over all true clusters). Patients are drawn
with replacement, the same draw for both; the challenger must win in enough draws, and may not buy its win by
losing noticeably in one of the guarded numbers, nor among the newest patients: a clinic's images drift, and what is
better on last year's may be worse on today's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from training.evaluation.model_version import Evaluation
from training.metrics import Pooled, sensitivity_at

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GateRule:
    """What a challenger must do to be promoted."""

    confidence: float = 0.95
    """Least share of bootstrap draws in which the challenger is strictly better, in [0, 1)."""

    draws: int = 2000
    """Bootstrap draws of patients."""

    primary: Literal["mean", "sensitivity", "dice"] = "mean"
    """What must improve: mean sensitivity at `rates`, mean Dice over all clusters, or the mean of the two."""

    rates: tuple[float, ...] = (0.25, 0.5, 1.0)
    """False positives per image at which sensitivity is taken."""

    min_patients: int = 8
    """Fewest test patients that allow a judgement."""

    guard_rate: float = 1.0
    """False positives per image of the guarded sensitivity."""

    sensitivity_margin: float = 0.05
    """Greatest loss of the guarded sensitivity."""

    dice_margin: float = 0.03
    """Greatest loss of mean Dice."""

    newest_margin: float = 0.10
    """Greatest loss of the primary score among the newest patients."""

    min_newest: int = 4
    """Fewest newest patients that count."""


@dataclass(frozen=True)
class Score:
    """One model version in numbers; NaN where the test patients do not allow one."""

    version: str
    primary: float
    """See `GateRule.primary`, in [0, 1]."""

    sensitivity: dict[str, float]
    """By false positives per image, the guard's rate included."""

    dice: float

    def to_json(self) -> dict[str, Any]:
        """Flat: `version`, `primary`, `sensitivity_0.5` ..., `dice`; numbers that do not exist are null."""
        rates = {f"sensitivity_{rate}": value for rate, value in self.sensitivity.items()}
        flat = {"version": self.version, "primary": self.primary, **rates, "dice": self.dice}
        return {key: _plain(value) for key, value in flat.items()}


@dataclass(frozen=True)
class Newest:
    """Both versions on the newest of the test patients alone."""

    champion: Score
    challenger: Score
    num_patients: int
    num_truth: int


@dataclass(frozen=True)
class Verdict:
    """The decision, why, and what it rests on."""

    promote: bool
    reason: str
    """A sentence for a person."""

    champion: Score
    challenger: Score
    difference: float
    """Challenger's primary score minus the champion's."""

    interval: tuple[float, float]
    """5th and 95th percentile of the difference over the draws."""

    confidence: float
    """Share of draws in which the challenger is strictly better."""

    num_patients: int
    num_images: int
    num_truth: int
    """True clusters in them."""

    rule: GateRule
    seed: int
    newest: Newest | None = None
    """None: nobody said which patients are the newest, or there are too few of them; `reason` says so."""

    def to_json(self) -> dict[str, Any]:
        """JSON values; numbers that do not exist are null."""
        scores = {"champion": self.champion.to_json(), "challenger": self.challenger.to_json()}
        newest = self.newest and {
            "champion": self.newest.champion.to_json(),
            "challenger": self.newest.challenger.to_json(),
            "num_patients": self.newest.num_patients,
            "num_truth": self.newest.num_truth,
        }
        return {**_plain(asdict(self)), **scores, "newest": newest}


def judge(
    champion: Evaluation,
    challenger: Evaluation,
    *,
    rule: GateRule,
    seed: int = 0,
    newest: Collection[str],
) -> Verdict:
    """Decide.

    Args:
        champion: what serves now.
        challenger: evaluated on the same images.
        seed: of the draws; the same evaluations and seed give the same verdict.
        newest: keys of the newest test patients, judged once more by themselves.

    Raises:
        ValueError: the evaluations are not of the same images.
    """
    mine, theirs = _by_image(champion), _by_image(challenger)
    if [(image.image, image.patient) for image in mine.images] != [
        (image.image, image.patient) for image in theirs.images
    ]:
        raise ValueError("champion and challenger were evaluated on different images; evaluate both again")
    before, after = _Sample(mine, rule), _Sample(theirs, rule)
    differences = _differences(before, after, mine, rule=rule, seed=seed)
    old, new = before.score(), after.score()
    confidence = float(np.mean(differences > 0)) if differences.size else math.nan
    low, high = np.percentile(differences, (5, 95)) if differences.size else (math.nan, math.nan)
    recent = _newest(mine, theirs, newest, rule=rule)
    promote, reason = _decide(old, new, confidence, num_patients=len(mine.patients), rule=rule, newest=recent)
    return Verdict(
        promote=promote,
        reason=reason,
        champion=old,
        challenger=new,
        difference=new.primary - old.primary,
        interval=(float(low), float(high)),
        confidence=confidence,
        num_patients=len(mine.patients),
        num_images=len(mine.images),
        num_truth=mine.num_lesions,
        rule=rule,
        seed=seed,
        newest=recent,
    )


def _newest(
    mine: Evaluation, theirs: Evaluation, patients: Collection[str], *, rule: GateRule
) -> Newest | None:
    old, new = (
        Evaluation(each.version, each.threshold, tuple(i for i in each.images if i.patient in patients))
        for each in (mine, theirs)
    )
    if len(old.patients) < rule.min_newest or not old.num_lesions:
        return None
    return Newest(_Sample(old, rule).score(), _Sample(new, rule).score(), len(old.patients), old.num_lesions)


def _decide(
    old: Score,
    new: Score,
    confidence: float,
    *,
    num_patients: int,
    rule: GateRule,
    newest: Newest | None,
) -> tuple[bool, str]:
    if num_patients < rule.min_patients:
        return False, (
            f"kept {old.version}: only {num_patients} test patients are annotated, a judgement needs "
            f"{rule.min_patients}; annotate {rule.min_patients - num_patients} more"
        )
    if math.isnan(new.primary):
        return False, (
            f"kept {old.version}: no test patient has an annotated cluster, so nothing can be compared; "
            "annotate patients with clusters"
        )
    numbers = f"score {old.primary:.3f} -> {new.primary:.3f}, better in {confidence:.1%} of draws"
    guard = f"{rule.guard_rate:g}"
    lost = old.sensitivity[guard] - new.sensitivity[guard]
    if lost > rule.sensitivity_margin:
        return False, (
            f"kept {old.version}: sensitivity at {guard} false positives per image fell by {lost:.3f} "
            f"(at most {rule.sensitivity_margin:g} is allowed); {numbers}"
        )
    lost = old.dice - new.dice
    if lost > rule.dice_margin:  # False without masks: NaN
        return False, (
            f"kept {old.version}: Dice fell by {lost:.3f} (at most {rule.dice_margin:g} is allowed); {numbers}"
        )
    if newest and newest.champion.primary - newest.challenger.primary > rule.newest_margin:
        return False, (
            f"kept {old.version}: on the {newest.num_patients} newest patients the score fell from "
            f"{newest.champion.primary:.3f} to {newest.challenger.primary:.3f} "
            f"(at most {rule.newest_margin:g} is allowed); {numbers}"
        )
    if new.primary <= old.primary or confidence < rule.confidence:
        return (
            False,
            f"kept {old.version}: {new.version} is not surely better ({rule.confidence:.0%} asked); {numbers}",
        )
    alone = (
        ""
        if newest
        else f"; the newest patients were not judged alone, they are fewer than {rule.min_newest} or without clusters"
    )
    return True, f"promoted {new.version} over {old.version}: {numbers} ({rule.confidence:.0%} asked){alone}"


class _Sample:
    """One evaluation, ready to be scored under many weightings of its images."""

    def __init__(self, evaluation: Evaluation, rule: GateRule) -> None:
        self._version = evaluation.version
        self._rule = rule
        self._pooled = Pooled.of([image.hits for image in evaluation.images])
        self._dice = np.array([sum(image.dice) for image in evaluation.images], np.float64)
        self._num_dice = np.array([len(image.dice) for image in evaluation.images], np.float64)

    def score(self) -> Score:
        every = np.ones(len(self._dice))
        rates = sorted({*self._rule.rates, self._rule.guard_rate})
        sensitivity = dict(zip((f"{rate:g}" for rate in rates), self._sensitivity(every, rates), strict=True))
        return Score(self._version, self.primary(every), sensitivity, self._mean_dice(every))

    def primary(self, weights: Floats) -> float:
        """NaN when the images that count hold no lesion; detection alone when they hold no mask."""
        dice = self._mean_dice(weights)
        if self._rule.primary == "dice" and not math.isnan(dice):
            return dice
        sensitivity = float(np.mean(self._sensitivity(weights, self._rule.rates)))
        if self._rule.primary == "sensitivity" or math.isnan(dice):
            return sensitivity
        return (sensitivity + dice) / 2

    def _sensitivity(self, weights: Floats, rates: Sequence[float]) -> list[float]:
        try:
            curve = self._pooled.curve(weights)
        except ValueError:
            return [math.nan for _ in rates]
        return [sensitivity_at(curve, rate) for rate in rates]

    def _mean_dice(self, weights: Floats) -> float:
        num = float(weights @ self._num_dice)
        return float(weights @ self._dice) / num if num else math.nan


def _differences(before: _Sample, after: _Sample, images: Evaluation, *, rule: GateRule, seed: int) -> Floats:
    """Challenger minus champion in each draw of patients that holds a lesion."""
    patients = images.patients
    place = {patient: index for index, patient in enumerate(patients)}
    owner = np.array([place[image.patient] for image in images.images], np.intp)
    if not patients:
        return np.empty(0)
    draws = np.random.default_rng(seed).multinomial(
        len(patients), np.full(len(patients), 1 / len(patients)), size=rule.draws
    )
    values = []
    for counts in draws.astype(np.float64):
        weights = counts[owner]
        values.append(after.primary(weights) - before.primary(weights))
    return np.array([value for value in values if not math.isnan(value)], np.float64)


def _by_image(evaluation: Evaluation) -> Evaluation:
    ordered = sorted(evaluation.images, key=lambda image: (image.image, image.patient))
    return Evaluation(evaluation.version, evaluation.threshold, tuple(ordered))


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
