from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.errors import InvalidSettings
from mammo.stages import ORDER, Calibration, Evidence, Figures, StageRules, propose, rules_of

RULES = StageRules()
GOOD = Evidence(
    model_version="m1",
    prelabelled=Figures(images=120, dice=0.9, accept_rate=0.8, added_per_image=0.1, deleted_per_image=0.2),
    control=Figures(images=60, dice=0.85, added_per_image=0.1, deleted_per_image=0.3),
    calibration=Calibration(threshold=0.8, images=90, right=90, bound=0.96),
)


def proposed(stage, evidence, **more):
    return propose(stage, evidence, RULES, calibrated_for="m1", **more)


def test_good_figures_propose_one_step_forward_and_say_why():
    assert proposed("assisted", GOOD).stage == "semi-automatic"
    forward = proposed("semi-automatic", GOOD)
    assert (forward.stage, forward.reason) == ("automatic", "every rule is met")
    assert proposed("automatic", GOOD).stage == "automatic"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"control": Figures(images=3, dice=0.9)}, "blind tasks"),
        ({"control": replace(GOOD.control, dice=0.6)}, "above that of the control"),
        ({"prelabelled": replace(GOOD.prelabelled, hasty_share=0.3)}, "too fast"),
        ({"prelabelled": replace(GOOD.prelabelled, images=20)}, "reviewed prelabels: 20, needed at least 50"),
        ({"calibration": None}, "calibrated threshold: none holds"),
    ],
)
def test_each_missing_proof_keeps_a_project_from_automatic_and_is_named(change, word):
    proposal = proposed("semi-automatic", replace(GOOD, **change))
    assert proposal.stage == "semi-automatic"
    assert word in proposal.reason


def test_bad_prelabels_send_a_project_back_but_only_when_there_are_enough():
    bad = replace(GOOD, prelabelled=replace(GOOD.prelabelled, dice=0.2))
    assert proposed("semi-automatic", bad).stage == "assisted"
    few = replace(bad, prelabelled=replace(bad.prelabelled, images=10))
    assert proposed("semi-automatic", few).stage == "semi-automatic"
    false = replace(GOOD, prelabelled=replace(GOOD.prelabelled, deleted_per_image=2.5))
    assert proposed("semi-automatic", false).stage == "assisted"


def test_an_automatic_project_goes_back_for_bad_audits_or_another_model():
    assert proposed("automatic", replace(GOOD, audits=10, audits_right=8)).stage == "semi-automatic"
    assert proposed("automatic", replace(GOOD, audits=9, audits_right=0)).stage == "automatic"
    other = proposed("automatic", replace(GOOD, model_version="m2"))
    assert other.stage == "semi-automatic"
    assert "m2 serves" in other.reason


def test_nothing_is_proposed_from_nothing():
    nothing = Evidence(model_version="m1", prelabelled=Figures(), control=Figures(), calibration=None)
    assert [proposed(stage, nothing).stage for stage in ORDER] == list(ORDER)


share = st.floats(0, 1) | st.none()
figures = st.builds(
    Figures,
    images=st.integers(0, 300),
    dice=share,
    deleted_per_image=st.floats(0, 5) | st.none(),
    hasty_share=st.floats(0, 1),
)


@given(st.sampled_from(ORDER), figures, figures, st.booleans(), st.integers(0, 60), st.integers(0, 60))
def test_a_proposal_is_at_most_one_step_and_never_swings(stage, shown, control, holds, audits, right):
    evidence = Evidence(
        model_version="m1",
        prelabelled=shown,
        control=control,
        calibration=GOOD.calibration if holds else None,
        audits=audits,
        audits_right=min(right, audits),
    )
    proposal = proposed(stage, evidence)
    assert abs(ORDER.index(proposal.stage) - ORDER.index(stage)) <= 1
    if proposal.stage == "automatic" and stage != "automatic":
        assert holds
        assert control.images >= RULES.least_control


def test_a_project_has_rules_of_its_own():
    assert rules_of({7: {"least_images": 10, "audit_floor": 0.8}}, 7) == replace(
        RULES, least_images=10, audit_floor=0.8
    )
    assert rules_of({7: {"least_images": 10}}, 8) == RULES


@pytest.mark.parametrize("wrong", [{"leest": 1}, {"least_images": 2.5}, {"right_share": 1.5}, {"window": 0}])
def test_a_rule_that_does_not_exist_or_cannot_be_is_refused(wrong):
    with pytest.raises(InvalidSettings, match="STAGE_RULES"):
        rules_of({7: wrong}, 7)
