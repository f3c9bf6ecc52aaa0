"""A small project, simulated by every kind of arm: the product's own parts work together, and pieces are shared."""

import pytest

from benchmarks.loop.__main__ import run
from benchmarks.loop.patients import Plan, phantoms
from benchmarks.loop.simulation import Simulated
from training.cases import silent

PLAN = Plan(patients=8, frozen=2, rounds=2, width=384, height=448, smoke=True)
ARMS = ("no-model", "starter", "loop", "no-gate", "credulous")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("loop")


@pytest.fixture(scope="module")
def simulated(out):
    printed = "\n".join(table.markdown() for table in run(out=out, arms=ARMS, plan=PLAN))
    assert "The loop: seconds saved" in printed
    return {arm: Simulated.read(out / "results" / f"0-{arm}.json") for arm in ARMS}


def test_every_arm_reads_the_same_images_in_the_same_rounds(simulated):
    read = {arm: [(each.round, each.image) for each in simulated[arm].images] for arm in ARMS}
    assert len(read["loop"]) == 16
    assert all(each == read["loop"] for each in read.values())


def test_before_anything_is_learned_the_loop_costs_what_the_starter_costs(simulated):
    first = {
        arm: [dict(each.tally) for each in simulated[arm].images if each.round == 1]
        for arm in ("starter", "loop", "no-gate")
    }
    assert first["starter"] == first["loop"] == first["no-gate"]


def test_a_provisional_model_serves_the_next_round_if_and_only_if_its_verdict_says_so(simulated):
    for arm in ("loop", "credulous"):
        first, second = simulated[arm].rounds
        assert first.training["kind"] == "provisional"
        assert first.training["promoted"] == (second.version != first.version)
        assert first.training["promoted"] <= (first.training["after"] > first.training["before"])


def test_only_without_a_gate_a_challenger_serves_that_lost(simulated):
    first, second = simulated["no-gate"].rounds
    assert first.training["kind"] == "retrain"
    assert first.training["reason"].startswith(f"kept {first.version}")
    assert second.version != first.version


def test_without_a_model_nothing_is_shown_asked_or_evaluated(simulated):
    arm = simulated["no-model"]
    assert all(each.frozen is None for each in arm.rounds)
    assert not any("add by click" in each.tally or "delete" in each.tally for each in arm.images)


def test_blind_patients_are_read_without_a_prelabel_and_counted_as_the_control_arm(simulated):
    arm = simulated["credulous"]
    blind = sum(each.blind for each in arm.images)
    assert 0 < blind < len(arm.images)
    assert sum(each["arm"] == "control" for each in arm.efforts) == blind


def test_frozen_patients_are_none_of_the_project(out):
    material = phantoms(PLAN, 0, out / "work" / "phantoms", progress=silent)
    project, frozen = ({case.patient for case in each} for each in (material.project, material.frozen))
    assert (len(project), len(frozen)) == (8, 2)
    assert not project & frozen


def test_an_arm_that_is_simulated_again_trains_and_predicts_nothing_anew(out, simulated):
    def pieces():
        return {path for path in (out / "work" / "pieces").rglob("*.*") if path.is_file()}

    before = pieces()
    (out / "results" / "0-loop.json").unlink()
    list(run(out=out, arms=["loop"], plan=PLAN))
    again = Simulated.read(out / "results" / "0-loop.json")
    assert pieces() == before
    assert [dict(each.tally) for each in again.images] == [
        dict(each.tally) for each in simulated["loop"].images
    ]


def test_results_of_another_plan_are_refused(out, simulated):
    with pytest.raises(ValueError, match="another plan"):
        run(out=out, arms=["loop"], plan=Plan(patients=9, smoke=True))
