from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.training.gate.test_gate import evaluation, image, worse
from training.evaluation.model_version import Evaluation
from training.gate.adapted import AdaptedEvaluation, judge_adapted, together
from training.gate.gate import GateRule
from training.metrics import Hits

RULE = GateRule(min_patients=4)
BACKGROUND_OF = {f"copy-p{index:02d}-1": f"p{index:02d}-1" for index in range(10)}


def adapted(
    version: str, *, found: bool = True, dice: float = 0.8, findings: int = 0, test: Any = None
) -> Any:
    """One untouched image and one copy with a cluster for each of ten patients."""
    untouched = evaluation(version, lesions=0, false=(0.3,))
    untouched = replace(
        untouched, images=tuple(replace(each, num_findings=findings) for each in untouched.images)
    )
    copies = evaluation(version, found=found, dice=dice, false=(0.95, 0.94))
    copies = replace(
        copies, images=tuple(replace(each, image=f"copy-{each.image}") for each in copies.images)
    )
    return AdaptedEvaluation(untouched, copies, test)


def judged(champion: Any, challenger: Any, *, rule: GateRule = RULE) -> Any:
    return judge_adapted(champion, challenger, background_of=BACKGROUND_OF, rule=rule, newest=())


def test_better_on_inserted_clusters_and_no_worse_elsewhere_is_promoted() -> None:
    verdict = judged(adapted("old", found=False, findings=2), adapted("new", findings=1))
    assert verdict.promote
    assert verdict.false_positives == (2.0, 1.0)
    assert verdict.inserted.interval[0] > 0
    content = verdict.to_json()
    assert content["judged_on"] == "adapted, judged on inserted clusters"
    assert content["untouched"] == {"champion": 2.0, "challenger": 1.0}
    assert content["test"] is None
    assert content["promote"]
    assert "false positives per untouched image 2.00 -> 1.00" in verdict.reason


def test_false_positives_are_those_of_untouched_images_and_sensitivity_that_of_their_copies() -> None:
    untouched = Hits((0.7, 0.2), (False, False), 0)
    copies = [Hits((0.9, 0.6), (False, True), 2), Hits((0.8,), (True,), 1)]
    assert together(untouched, copies) == Hits((0.8, 0.7, 0.6, 0.2), (True, False, True, False), 3)


def test_equal_is_not_better() -> None:
    verdict = judged(adapted("old"), adapted("new"))
    assert not verdict.promote
    assert "not reliably better" in verdict.reason


def test_more_false_positives_on_untouched_images_keep_the_champion() -> None:
    verdict = judged(adapted("old", found=False, findings=1), adapted("new", findings=2))
    assert not verdict.promote
    assert "rose from 1.00 to 2.00" in verdict.reason


def test_lost_masks_keep_the_champion() -> None:
    def with_dice(version: str, dice: float, missed: int) -> Any:
        made = adapted(version, dice=dice)
        images = tuple(
            replace(each, hits=Hits((), (), 1)) if number < missed else each
            for number, each in enumerate(made.inserted.images)
        )
        return replace(made, inserted=replace(made.inserted, images=images))

    verdict = judged(with_dice("old", 0.8, 5), with_dice("new", 0.7, 0))
    assert verdict.inserted.difference > 0
    assert not verdict.promote
    assert "Dice fell" in verdict.reason


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (evaluation("old"), evaluation("new", change=worse(1, found=False)), "sensitivity at 1"),
        (evaluation("old", dice=0.8), evaluation("new", dice=0.79), "score fell from 0.900 to 0.895"),
    ],
    ids=["beyond a margin", "within every margin"],
)
def test_any_loss_on_the_frozen_test_patients_keeps_the_champion(
    before: Evaluation, after: Evaluation, reason: str
) -> None:
    verdict = judged(adapted("old", found=False, test=before), adapted("new", test=after))
    assert verdict.inserted.promote
    assert not verdict.promote
    assert reason in verdict.reason
    assert "frozen test patients" in verdict.reason
    assert judged(adapted("old", found=False, test=before), adapted("new", test=before)).promote


def test_frozen_test_patients_without_a_cluster_decide_nothing() -> None:
    normal = evaluation("old", lesions=0)
    verdict = judged(adapted("old", found=False, test=normal), adapted("new", test=normal))
    assert verdict.promote
    assert verdict.test is None
    assert "no frozen test patient has a cluster" in verdict.reason


def test_few_held_out_patients_promote_nothing() -> None:
    verdict = judged(adapted("old", found=False), adapted("new"), rule=GateRule(min_patients=12))
    assert not verdict.promote
    assert "only 10 patients are held out, the gate needs 12" in verdict.reason


def test_an_evaluation_is_read_back_from_json() -> None:
    made = adapted("old", test=Evaluation("old", 0.2, (image("p", 1),)))
    assert AdaptedEvaluation.from_json(made.to_json()) == made
    assert AdaptedEvaluation.from_json(adapted("old").to_json()).test is None
