import json
from dataclasses import replace

import pytest

from training.evaluation.model_version import Evaluation, ImageScore
from training.gate.gate import GateRule, judge
from training.metrics import Hits

RULE = GateRule(min_patients=4)


def image(patient, number, *, found=True, score=0.9, dice=0.8, false=(), lesions=1):
    hits = sorted([(score, True)] * (found and lesions) + [(each, False) for each in false], reverse=True)
    return ImageScore(
        image=f"{patient}-{number}",
        patient=patient,
        hits=Hits(tuple(s for s, _ in hits), tuple(t for _, t in hits), lesions),
        dice=(dice if found else 0.0,) * lesions,
        num_findings=len(hits),
        seconds=0.1,
    )


def evaluation(version, patients=10, *, change=lambda index, each: each, **fields):
    images = [image(f"p{index:02d}", 1, **fields) for index in range(patients)]
    return Evaluation(version, 0.2, tuple(change(index, each) for index, each in enumerate(images)))


def worse(count, **fields):
    """Change the images of the first `count` patients."""
    return lambda index, each: image(each.patient, 1, **fields) if index < count else each


def test_a_clear_winner_is_promoted():
    champion = evaluation("old", change=worse(5, found=False))
    verdict = judge(champion, evaluation("new"), rule=RULE, newest=())
    assert verdict.promote
    assert verdict.champion.sensitivity["0.5"] == pytest.approx(0.5)
    assert verdict.challenger.sensitivity["0.5"] == 1.0
    assert verdict.difference == pytest.approx((1 + 0.8) / 2 - (0.5 + 0.4) / 2)
    assert verdict.confidence > 0.99
    assert verdict.interval[0] > 0
    assert "promoted new over old" in verdict.reason


def test_equal_is_not_better():
    verdict = judge(evaluation("old"), evaluation("new"), rule=RULE, newest=())
    assert not verdict.promote
    assert (verdict.difference, verdict.confidence) == (0.0, 0.0)


def test_a_win_that_rests_on_one_patient_is_not_sure_enough():
    champion = evaluation("old", change=worse(1, found=False))
    verdict = judge(champion, evaluation("new"), rule=RULE, newest=())
    assert verdict.difference > 0
    assert 0.5 < verdict.confidence < 0.95  # one of ten patients is missing from a third of the draws
    assert not verdict.promote
    assert "not reliably better" in verdict.reason
    assert judge(champion, evaluation("new"), rule=replace(RULE, confidence=0.5), newest=()).promote


def test_many_images_of_one_patient_are_one_witness():
    def of_one_person(version, found):
        return Evaluation(
            version,
            0.2,
            tuple(image("p0", n, found=found) for n in range(50)) + evaluation(version, 9).images[1:],
        )

    verdict = judge(of_one_person("old", False), of_one_person("new", True), rule=RULE, newest=())
    assert verdict.difference > 0.4
    assert verdict.confidence < 0.75


def test_better_masks_do_not_buy_lost_lesions():
    champion = evaluation("old", dice=0.3)
    challenger = evaluation("new", dice=0.95, change=worse(1, found=False))
    verdict = judge(champion, challenger, rule=RULE, newest=())
    assert verdict.difference > 0
    assert not verdict.promote
    assert "sensitivity at 1 false positives per image fell by 0.100" in verdict.reason


def test_more_lesions_do_not_buy_bad_masks():
    champion = evaluation("old", dice=0.8, change=worse(5, score=0.5, dice=0.8, false=(0.9, 0.8)))
    challenger = evaluation("new", dice=0.7)
    verdict = judge(champion, challenger, rule=RULE, newest=())
    assert verdict.difference > 0
    assert not verdict.promote
    assert "Dice fell by 0.100" in verdict.reason


def at_operating_points(before, after):
    """A champion that misses a half, and a challenger that finds all; both with false positives at ten images."""
    faint = {"score": 0.9, "false": (0.1,)}
    champion = evaluation("old", change=worse(5, found=False, false=(0.1,)), **faint)
    return (
        replace(champion, threshold=before),
        replace(evaluation("new", change=lambda i, each: each, **faint), threshold=after),
    )


def test_more_lesions_at_equal_false_positives_do_not_buy_false_alarms_at_the_operating_point():
    champion, loud = at_operating_points(0.2, 0.05)
    verdict = judge(champion, loud, rule=RULE, newest=())
    assert verdict.confidence > 0.99
    assert not verdict.promote
    assert "false positives per image at the operating point rose from 0.00 to 1.00" in verdict.reason
    assert "by at most 0.25 is allowed" in verdict.reason
    assert judge(champion, loud, rule=replace(RULE, false_positive_margin=1.0), newest=()).promote


def test_a_challenger_as_quiet_as_its_champion_is_promoted_and_the_sentence_says_so():
    for before, after, said in ((0.2, 0.2, "0.00 -> 0.00"), (0.05, 0.05, "1.00 -> 1.00")):
        verdict = judge(*at_operating_points(before, after), rule=RULE, newest=())
        assert verdict.promote
        assert f"false positives per image at the operating point {said}" in verdict.reason
    quieter = judge(*at_operating_points(0.05, 0.2), rule=RULE, newest=())
    assert (quieter.champion.false_positives, quieter.challenger.false_positives) == (1.0, 0.0)
    assert quieter.promote


def test_too_few_patients_keep_the_champion_and_say_how_many_are_missing():
    champion = evaluation("old", 3, change=worse(3, found=False))
    verdict = judge(champion, evaluation("new", 3), rule=RULE, newest=())
    assert not verdict.promote
    assert "only 3 test patients" in verdict.reason
    assert "annotate 1 more" in verdict.reason


def test_test_patients_without_clusters_keep_the_champion():
    verdict = judge(evaluation("old", lesions=0), evaluation("new", lesions=0), rule=RULE, newest=())
    assert not verdict.promote
    assert "no test patient has" in verdict.reason
    assert json.loads(json.dumps(verdict.to_json(), allow_nan=False))["difference"] is None


def test_nobody_at_all_keeps_the_champion():
    verdict = judge(Evaluation("old", 0.2, ()), Evaluation("new", 0.2, ()), rule=RULE, newest=())
    assert not verdict.promote
    json.dumps(verdict.to_json(), allow_nan=False)


def test_truth_without_masks_is_judged_on_detection_alone():
    def boxes_only(version, **fields):
        masked = evaluation(version, **fields)
        return replace(masked, images=tuple(replace(each, dice=()) for each in masked.images))

    champion = boxes_only("old", change=worse(5, found=False))
    verdict = judge(champion, boxes_only("new"), rule=RULE, newest=())
    assert verdict.promote
    assert verdict.challenger.primary == 1.0
    assert verdict.to_json()["challenger"]["dice"] is None


def test_the_verdict_is_a_function_of_evaluations_and_seed():
    champion = evaluation("old", change=worse(3, found=False))
    first = judge(champion, evaluation("new"), rule=RULE, seed=1, newest=())
    again = replace(champion, images=tuple(reversed(champion.images)))
    assert judge(again, evaluation("new"), rule=RULE, seed=1, newest=()) == first


def test_evaluations_of_different_images_cannot_be_compared():
    with pytest.raises(ValueError, match="different images"):
        judge(evaluation("old", 9), evaluation("new", 10), rule=RULE, newest=())


def test_the_verdict_is_flat_json_with_every_number():
    content = judge(evaluation("old", dice=0.5), evaluation("new"), rule=RULE, newest=()).to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["champion"]["dice"] == 0.5
    assert content["challenger"]["sensitivity_0.5"] == content["challenger"]["sensitivity_1"] == 1.0
    assert (content["num_patients"], content["num_images"], content["num_truth"]) == (10, 10, 10)
    assert content["rule"]["confidence"] == 0.95


def test_better_on_the_old_patients_does_not_buy_worse_on_the_newest():
    champion = evaluation("old", 20, change=worse(14, found=False))
    challenger = evaluation("new", 20, change=lambda i, each: image(each.patient, 1, found=i < 16))
    newest = {f"p{index:02d}" for index in range(15, 20)}
    assert judge(champion, challenger, rule=RULE, newest=()).promote
    verdict = judge(champion, challenger, rule=RULE, newest=newest)
    assert not verdict.promote
    assert "5 newest patients" in verdict.reason
    assert verdict.newest.num_patients == verdict.newest.num_truth == 5
    assert verdict.newest.champion.primary > verdict.newest.challenger.primary
    assert json.loads(json.dumps(verdict.to_json()))["newest"]["challenger"]["sensitivity_1"] == 0.2


def test_a_promotion_without_the_newest_patients_says_so():
    champion = evaluation("old", 20, change=worse(14, found=False))
    few = judge(champion, evaluation("new", 20), rule=RULE, newest={"p01", "p02"})
    assert few.promote
    assert "there are fewer than 4" in few.reason
    enough = judge(champion, evaluation("new", 20), rule=RULE, newest={f"p{index:02d}" for index in range(5)})
    assert enough.promote
    assert "newest" not in enough.reason


def test_fewer_newest_patients_than_the_rule_asks_decide_nothing():
    champion = evaluation("old", 20, change=worse(14, found=False))
    challenger = evaluation("new", 20, change=lambda i, each: image(each.patient, 1, found=i < 17))
    verdict = judge(champion, challenger, rule=RULE, newest={"p17", "p18", "p19"})
    assert verdict.promote
    assert verdict.newest is None


@pytest.mark.parametrize(("primary", "promoted"), [("mean", False), ("sensitivity", True), ("dice", False)])
def test_what_must_improve_is_the_rules_choice(primary, promoted):
    champion = evaluation("old", dice=0.8, change=worse(1, found=False))
    challenger = evaluation("new", dice=0.6)
    rule = replace(RULE, primary=primary, confidence=0.6, dice_margin=1.0)
    assert judge(champion, challenger, rule=rule, newest=()).promote is promoted
