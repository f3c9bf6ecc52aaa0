"""The gate: decides whether a challenger replaces the champion. A pure function of two evaluations.

Step 11 of the walk.

Both model versions were evaluated on the same images of the same held-out patients. The primary score is the mean of
detection (mean sensitivity at a few false-positive rates) and segmentation (mean Dice over all true clusters). Patients
are drawn with replacement, the same draws for both versions (a paired bootstrap). The challenger must be strictly
better in a given share of the draws. It must also not lose more than a margin in sensitivity, in Dice, or in the
primary score on the newest patients alone: the images of a clinic drift, so a model that is better on last year's may
be worse on today's. Nor may it draw more false positives than the champion, by more than a margin, when each is at its
own operating point: sensitivity is compared at equal false positives, which is not what a reader sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from training.evaluation.model_version import Evaluation
from training.evaluation.strict_json import to_strict_json
from training.metrics import Pooled, patient_draws, sensitivity_at
from training.metrics.bootstrap import Floats
from training.metrics.ratio import ratio


@dataclass(frozen=True, kw_only=True)
class GateRule:
    """What a challenger must do to be promoted."""

    confidence: float = 0.95
    """Minimum share of bootstrap draws in which the challenger is strictly better, in [0, 1)."""

    draws: int = 2000
    """Bootstrap draws of patients."""

    primary: Literal["mean", "sensitivity", "dice"] = "mean"
    """Score that must improve: mean sensitivity at `rates`, mean Dice over all clusters, or the mean of the two."""

    rates: tuple[float, ...] = (0.25, 0.5, 1.0)
    """False positives per image at which sensitivity is taken."""

    min_patients: int = 8
    """Minimum number of test patients."""

    guard_rate: float = 1.0
    """False positives per image of the guarded sensitivity."""

    sensitivity_margin: float = 0.05
    """Maximum loss of the guarded sensitivity."""

    dice_margin: float = 0.03
    """Maximum loss of mean Dice."""

    false_positive_margin: float = 0.25
    """Maximum rise of the false positives per image at each one's own operating point (docs/adr/0019)."""

    newest_margin: float = 0.10
    """Maximum loss of the primary score on the newest patients."""

    min_newest: int = 4
    """Minimum number of newest patients; with fewer, `newest_margin` is not applied."""


@dataclass(frozen=True)
class Score:
    """The scores of one model version; NaN where the test patients do not define one."""

    version: str
    primary: float
    """See `GateRule.primary`, in [0, 1]."""

    sensitivity: dict[str, float]
    """By false positives per image: the rule's `rates` and its `guard_rate`."""

    dice: float

    false_positives: float
    """Per image, at the version's own operating point."""

    def to_json(self) -> dict[str, Any]:
        """One flat object: `version`, `primary`, `sensitivity_0.5` ..., `dice`, `false_positives`; NaN becomes null."""
        rates = {f"sensitivity_{rate}": value for rate, value in self.sensitivity.items()}
        flat = {"version": self.version, "primary": self.primary, **rates, "dice": self.dice}
        flat["false_positives"] = self.false_positives
        return {key: to_strict_json(value) for key, value in flat.items()}


@dataclass(frozen=True)
class Newest:
    """The scores of both versions on the newest test patients alone."""

    champion: Score
    challenger: Score
    num_patients: int
    num_truth: int


@dataclass(frozen=True)
class Verdict:
    """The decision, its reason, and every number behind it."""

    promote: bool
    reason: str
    """A sentence for the user."""

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
    """None when fewer than `GateRule.min_newest` newest patients were given, or when none of them has a cluster."""

    def to_json(self) -> dict[str, Any]:
        """JSON values; NaN becomes null."""
        scores = {"champion": self.champion.to_json(), "challenger": self.challenger.to_json()}
        newest = self.newest and {
            "champion": self.newest.champion.to_json(),
            "challenger": self.newest.challenger.to_json(),
            "num_patients": self.newest.num_patients,
            "num_truth": self.newest.num_truth,
        }
        return {**to_strict_json(asdict(self)), **scores, "newest": newest}


def judge(
    champion: Evaluation,
    challenger: Evaluation,
    *,
    rule: GateRule,
    seed: int = 0,
    newest: Collection[str],
) -> Verdict:
    """Compare two evaluations by the rule and decide.

    Args:
        champion: evaluation of the model version that serves.
        challenger: evaluation of the other, on the same images.
        seed: of the bootstrap; the same evaluations and seed give the same verdict.
        newest: keys of the newest test patients, who are also judged separately.

    Raises:
        ValueError: the evaluations are not of the same images.
    """
    champion, challenger = _sorted_by_image(champion), _sorted_by_image(challenger)
    if [(image.image, image.patient) for image in champion.images] != [
        (image.image, image.patient) for image in challenger.images
    ]:
        raise ValueError("champion and challenger were evaluated on different images; evaluate both again")
    before, after = _WeightedScore(champion, rule), _WeightedScore(challenger, rule)
    differences = _bootstrap_differences(before, after, champion, rule=rule, seed=seed)
    old, new = before.score(), after.score()
    confidence = float(np.mean(differences > 0)) if differences.size else math.nan
    low, high = np.percentile(differences, (5, 95)) if differences.size else (math.nan, math.nan)
    recent = _on_newest(champion, challenger, newest, rule=rule)
    num_patients = len(champion.patients)
    objection = _objection(old, new, confidence, num_patients=num_patients, rule=rule, newest=recent)
    return Verdict(
        promote=objection is None,
        reason=objection or _promotion_reason(old, new, confidence, rule=rule, newest=recent),
        champion=old,
        challenger=new,
        difference=new.primary - old.primary,
        interval=(float(low), float(high)),
        confidence=confidence,
        num_patients=num_patients,
        num_images=len(champion.images),
        num_truth=champion.num_lesions,
        rule=rule,
        seed=seed,
        newest=recent,
    )


def primary_score(evaluation: Evaluation, *, rule: GateRule) -> Callable[[Floats], float]:
    """The primary score as a function of one weight per image, such as the images' copies in a bootstrap draw.

    It returns NaN where no weighted image has a true cluster.
    """
    return _WeightedScore(evaluation, rule).primary


def _on_newest(
    champion: Evaluation, challenger: Evaluation, patients: Collection[str], *, rule: GateRule
) -> Newest | None:
    old, new = (
        Evaluation(each.version, each.threshold, tuple(i for i in each.images if i.patient in patients))
        for each in (champion, challenger)
    )
    if len(old.patients) < rule.min_newest or not old.num_lesions:
        return None
    return Newest(
        champion=_WeightedScore(old, rule).score(),
        challenger=_WeightedScore(new, rule).score(),
        num_patients=len(old.patients),
        num_truth=old.num_lesions,
    )


def _objection(
    old: Score,
    new: Score,
    confidence: float,
    *,
    num_patients: int,
    rule: GateRule,
    newest: Newest | None,
) -> str | None:
    """Why the champion stays; None when the challenger is to be promoted."""
    if num_patients < rule.min_patients:
        return (
            f"kept {old.version}: only {num_patients} test patients are annotated, the gate needs "
            f"{rule.min_patients}; annotate {rule.min_patients - num_patients} more"
        )
    if math.isnan(new.primary):
        return (
            f"kept {old.version}: no test patient has an annotated cluster, so nothing can be compared; "
            "annotate patients with clusters"
        )
    numbers = _numbers(old, new, confidence)
    loss = _loss(old, new, rule=rule, newest=newest, numbers=numbers)
    if loss is not None:
        return loss
    if new.primary <= old.primary or confidence < rule.confidence:
        return f"kept {old.version}: {new.version} is not reliably better ({rule.confidence:.0%} required); {numbers}"
    return None


def loss_of(verdict: Verdict) -> str | None:
    """Why the champion stays if its challenger need not be better here, but must not lose more than the rule allows."""
    numbers = _numbers(verdict.champion, verdict.challenger, verdict.confidence)
    return _loss(
        verdict.champion, verdict.challenger, rule=verdict.rule, newest=verdict.newest, numbers=numbers
    )


def _loss(old: Score, new: Score, *, rule: GateRule, newest: Newest | None, numbers: str) -> str | None:
    guard = f"{rule.guard_rate:g}"
    loss = old.sensitivity[guard] - new.sensitivity[guard]
    if loss > rule.sensitivity_margin:
        return (
            f"kept {old.version}: sensitivity at {guard} false positives per image fell by {loss:.3f} "
            f"(at most {rule.sensitivity_margin:g} is allowed); {numbers}"
        )
    loss = old.dice - new.dice
    if loss > rule.dice_margin:  # False without masks: both Dice are NaN
        return f"kept {old.version}: Dice fell by {loss:.3f} (at most {rule.dice_margin:g} is allowed); {numbers}"
    rise = new.false_positives - old.false_positives
    if rise > rule.false_positive_margin + 1e-9:
        return (
            f"kept {old.version}: false positives per image at the operating point rose from "
            f"{old.false_positives:.2f} to {new.false_positives:.2f} (by at most {rule.false_positive_margin:g} is "
            f"allowed); {numbers}"
        )
    if newest and newest.champion.primary - newest.challenger.primary > rule.newest_margin:
        return (
            f"kept {old.version}: on the {newest.num_patients} newest patients the score fell from "
            f"{newest.champion.primary:.3f} to {newest.challenger.primary:.3f} "
            f"(at most {rule.newest_margin:g} is allowed); {numbers}"
        )
    return None


def _promotion_reason(
    old: Score, new: Score, confidence: float, *, rule: GateRule, newest: Newest | None
) -> str:
    numbers = _numbers(old, new, confidence)
    reason = (
        f"promoted {new.version} over {old.version}: {numbers} ({rule.confidence:.0%} required); false positives per "
        f"image at the operating point {old.false_positives:.2f} -> {new.false_positives:.2f}"
    )
    if newest:
        return reason
    return (
        f"{reason}; the newest patients were not judged separately: there are fewer than {rule.min_newest}, or none "
        "has a cluster"
    )


def _numbers(old: Score, new: Score, confidence: float) -> str:
    return f"score {old.primary:.3f} -> {new.primary:.3f}, better in {confidence:.1%} of draws"


class _WeightedScore:
    """The scores of one evaluation as functions of image weights, which a bootstrap draw gives."""

    def __init__(self, evaluation: Evaluation, rule: GateRule) -> None:
        self._version = evaluation.version
        self._false_positives = evaluation.false_positives
        self._rule = rule
        self._pooled = Pooled.of([image.hits for image in evaluation.images])
        self._dice = np.array([sum(image.dice) for image in evaluation.images], np.float64)
        self._num_dice = np.array([len(image.dice) for image in evaluation.images], np.float64)

    def score(self) -> Score:
        """Every image counted once."""
        ones = np.ones(len(self._dice))
        rates = sorted({*self._rule.rates, self._rule.guard_rate})
        sensitivity = dict(zip((f"{rate:g}" for rate in rates), self._sensitivity(ones, rates), strict=True))
        return Score(
            self._version, self.primary(ones), sensitivity, self._mean_dice(ones), self._false_positives
        )

    def primary(self, weights: Floats) -> float:
        """See `GateRule.primary`; NaN when no weighted image has a lesion, detection alone when none has a mask."""
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
        return ratio(float(weights @ self._dice), float(weights @ self._num_dice))


def _bootstrap_differences(
    before: _WeightedScore, after: _WeightedScore, images: Evaluation, *, rule: GateRule, seed: int
) -> Floats:
    """Challenger's primary score minus the champion's, for each draw of patients that has a lesion."""
    if not images.patients:
        return np.empty(0)
    values = [
        after.primary(weights) - before.primary(weights)
        for weights in patient_draws([image.patient for image in images.images], draws=rule.draws, seed=seed)
    ]
    return np.array([value for value in values if not math.isnan(value)], np.float64)


def _sorted_by_image(evaluation: Evaluation) -> Evaluation:
    ordered = sorted(evaluation.images, key=lambda image: (image.image, image.patient))
    return Evaluation(evaluation.version, evaluation.threshold, tuple(ordered))
