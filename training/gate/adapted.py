"""The gate of an adaptation: its clusters were inserted by us, so it must win on those and lose nowhere else.

A challenger that was adapted to background images replaces the champion only if

    1. enough patients are held out (`GateRule.min_patients`);
    2. on clusters inserted into held-out backgrounds it is reliably better: mean sensitivity at the same false
       positives per image, counted on the untouched held-out backgrounds, with a paired interval above 0, and without
       more loss in guarded sensitivity or Dice than `GateRule` allows;
    3. at its own operating point it has no more false positives on the untouched held-out backgrounds;
    4. on the project's frozen test patients, if there are any, its score did not fall, and it lost nothing that
       `GateRule` guards.

So it is never promoted where a retrain's challenger with these figures on the test patients would have been refused
for a loss. Whether real clusters of the site are found better, no adaptation can know.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.evaluation.model_version import Evaluation, ImageScore
from training.gate.gate import GateRule, Verdict, judge, loss_of
from training.metrics import Hits
from training.metrics.ratio import ratio

JUDGED_ON = "adapted, judged on inserted clusters"


@dataclass(frozen=True)
class AdaptedEvaluation:
    """The results of one model version on the held-out images of an adaptation."""

    untouched: Evaluation
    """Held-out backgrounds as they are: without a cluster, as far as anybody knows."""

    inserted: Evaluation
    """The same with inserted clusters."""

    test: Evaluation | None
    """The project's frozen test patients; None without any."""

    @property
    def false_positives(self) -> float:
        """Findings per untouched background at the operating point."""
        images = self.untouched.images
        return ratio(float(sum(image.num_findings for image in images)), len(images))

    def to_json(self) -> dict[str, Any]:
        """Every number, image by image."""
        return {
            "untouched": self.untouched.to_json(),
            "inserted": self.inserted.to_json(),
            "test": self.test and self.test.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> AdaptedEvaluation:
        """Inverse of `to_json`."""
        test = content["test"]
        return cls(
            Evaluation.from_json(content["untouched"]),
            Evaluation.from_json(content["inserted"]),
            test and Evaluation.from_json(test),
        )

    def by_background(self, background_of: Mapping[str, str]) -> Evaluation:
        """The evaluation that `judge` compares: one image per background.

        Its false positives are those on the untouched image, its lesions those of all its copies with clusters. So
        sensitivity is at false positives per image as they come, not beside structures that we drew.

        Args:
            background_of: image of a copy -> image of its background.
        """
        copies: dict[str, list[ImageScore]] = {}
        for image in self.inserted.images:
            copies.setdefault(background_of[image.image], []).append(image)
        images = tuple(_together(image, copies.get(image.image, [])) for image in self.untouched.images)
        return Evaluation(self.untouched.version, self.untouched.threshold, images)


def together(untouched: Hits, copies: Sequence[Hits]) -> Hits:
    """The false positives of an untouched image with the lesions of its copies; the copies' false positives are
    dropped."""
    true = [score for copy in copies for score, hit in zip(copy.scores, copy.true, strict=True) if hit]
    ordered = sorted(
        [*((score, False) for score in untouched.scores), *((score, True) for score in true)],
        key=lambda each: -each[0],
    )
    return Hits(
        tuple(score for score, _ in ordered),
        tuple(hit for _, hit in ordered),
        sum(copy.num_lesions for copy in copies),
    )


def _together(untouched: ImageScore, copies: Sequence[ImageScore]) -> ImageScore:
    return replace(
        untouched,
        hits=together(untouched.hits, [copy.hits for copy in copies]),
        dice=tuple(dice for copy in copies for dice in copy.dice),
    )


@dataclass(frozen=True)
class AdaptedVerdict:
    """The decision about an adapted challenger, its reason, and every number behind it."""

    promote: bool
    reason: str
    """A sentence for the user."""

    inserted: Verdict
    """On clusters inserted into held-out backgrounds."""

    false_positives: tuple[float, float]
    """Champion's and challenger's findings per untouched held-out background, at their operating points."""

    test: Verdict | None
    """On the project's frozen test patients; None without any, or without a cluster in them."""

    def to_json(self) -> dict[str, Any]:
        """JSON values: those of a retrain's verdict, about inserted clusters, and beside them the other two parts."""
        before, after = self.false_positives
        return {
            **self.inserted.to_json(),
            "promote": self.promote,
            "reason": self.reason,
            "judged_on": JUDGED_ON,
            "untouched": {"champion": before, "challenger": after},
            "test": self.test and self.test.to_json(),
        }


def judge_adapted(
    champion: AdaptedEvaluation,
    challenger: AdaptedEvaluation,
    *,
    background_of: Mapping[str, str],
    rule: GateRule,
    newest: Collection[str],
) -> AdaptedVerdict:
    """Compare two evaluations by the rules above and decide.

    Args:
        champion: of the model version that serves.
        challenger: of the adapted one, on the same images.
        background_of: image of a copy -> image of its background.
        rule: of the site; its `primary` applies to the frozen test patients only.
        newest: keys of the newest of these.
    """
    inserted = judge(
        champion.by_background(background_of),
        challenger.by_background(background_of),
        rule=replace(rule, primary="sensitivity"),
        newest=(),
    )
    test = None
    if champion.test is not None and challenger.test is not None:
        test = judge(champion.test, challenger.test, rule=rule, newest=newest)
        if math.isnan(test.champion.primary):
            test = None
    rates = champion.false_positives, challenger.false_positives
    objection = _objection(inserted, rates, test)
    return AdaptedVerdict(
        promote=objection is None,
        reason=f"{objection or _promotion_reason(inserted, rates, test)} ({JUDGED_ON})",
        inserted=inserted,
        false_positives=rates,
        test=test,
    )


def _objection(inserted: Verdict, rates: tuple[float, float], test: Verdict | None) -> str | None:
    """Why the champion stays; None when the challenger is to be promoted."""
    kept, rule = f"kept {inserted.champion.version}", inserted.rule
    if inserted.num_patients < rule.min_patients:
        return (
            f"{kept}: only {inserted.num_patients} patients are held out, the gate needs {rule.min_patients}; about "
            f"one in four is, so add backgrounds of about {4 * (rule.min_patients - inserted.num_patients)} more"
        )
    if math.isnan(inserted.challenger.primary):
        return f"{kept}: no cluster found a place in a held-out background; add more, or larger, images"
    if not inserted.promote:
        return inserted.reason
    if inserted.interval[0] <= 0:
        return f"{kept}: the interval of the difference reaches down to {inserted.interval[0]:+.3f}"
    before, after = rates
    if after > before + 1e-9:
        return (
            f"{kept}: false positives per untouched held-out image at the operating point rose from {before:.2f} to "
            f"{after:.2f}"
        )
    if test is None:
        return None
    on_test = f"on the {test.num_patients} frozen test patients"
    if (loss := loss_of(test)) is not None:
        return f"{loss}; {on_test}"
    if test.challenger.primary < test.champion.primary:
        return f"{kept}: {on_test} the score fell from {test.champion.primary:.3f} to {test.challenger.primary:.3f}"
    return None


def _promotion_reason(inserted: Verdict, rates: tuple[float, float], test: Verdict | None) -> str:
    old, new = inserted.champion, inserted.challenger
    before, after = rates
    on_test = "no frozen test patient has a cluster"
    if test is not None:
        on_test = (
            f"score on the {test.num_patients} frozen test patients {test.champion.primary:.3f} -> "
            f"{test.challenger.primary:.3f}"
        )
    return (
        f"promoted {new.version} over {old.version}: sensitivity {old.primary:.3f} -> {new.primary:.3f}, better in "
        f"{inserted.confidence:.1%} of draws; false positives per untouched image {before:.2f} -> {after:.2f}; "
        f"{on_test}"
    )
