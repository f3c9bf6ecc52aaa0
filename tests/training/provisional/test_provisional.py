"""A provisional model serves the project that asked, if it is better on patients that it was not trained on."""

from types import SimpleNamespace

import pytest

from mammo.audit import AuditTrail
from mammo.database import writing
from mammo.errors import InsufficientData, RunConflict
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import PROVISIONAL, ProvisionalModels
from mammo.models.provisional import serve
from mammo.runs import RunLedger, Runs, claim
from mammo.runs.payloads import Retrain
from tests.training.detections import square
from training.provisional.left_out import groups_of
from training.provisional.provisional import corrected_cases, provisional
from training.provisional.recipes import PROVISIONAL_RECIPES

PATIENTS = [f"{number:016x}" for number in range(6)]


@pytest.fixture(autouse=True)
def _corrected(world):
    """Six patients, whose clusters lie at x = 5."""
    for number, patient in enumerate(PATIENTS, 1):
        world.project.annotate(number, [square(5, 5)], patient=patient)


def run(world, name="provisional-1-000000000001", *, gate_patients=8):
    runs = Runs(world.context.engine)
    runs.request(1, recipe="provisional", reason="a test", trigger="button", run_id=name)
    return provisional(
        Retrain(1, "provisional", "a test"),
        run=name,
        recipe=PROVISIONAL_RECIPES["provisional"],
        gate_patients=gate_patients,
        context=world.context,
        report=lambda *_: None,
        tags=ControlTags(),
        ledger=RunLedger(runs.engine, claim(runs, name, owner="nowhere/1/1")),
    )


def test_one_that_is_better_serves_its_project_and_the_champion_stays(world):
    summary = run(world)
    version = summary["challenger"]
    assert (summary["provisional"], summary["promoted"]) == (True, False)
    assert version.startswith("p0002-")
    assert ProvisionalModels(world.context.engine).versions() == {1: version}
    assert world.registry.champion().version == "starter-1"
    assert world.registry.alias("challenger") is None
    manifest = world.registry.manifest(version)
    assert (manifest[PROVISIONAL], manifest["parent"]) == (1, "starter-1")
    assert "6 corrected images of 6 patients" in manifest["provisional_note"]
    assert f"{version} serves project 1 provisionally" in summary["reason"]
    assert Runs(world.context.engine).get(summary["run"]).state == "provisional"
    newest = AuditTrail(world.context.engine).newest()[0]
    assert (newest.action, newest.subject) == ("provisional model serves", "project 1")
    assert [note.kind for note in world.registry.notes(version)] == ["verdict"]


def test_no_patient_is_judged_by_a_model_that_was_trained_on_her(world):
    run(world)
    trained = [set(call[1]) for call in world.networks.calls]
    assert len(trained) == 7  # each left out once, then all
    assert sorted(next(iter(set(PATIENTS) - each)) for each in trained[:-1]) == PATIENTS
    assert trained[-1] == set(PATIENTS)


def test_the_champions_segmenter_serves(world):
    manifest = world.registry.manifest(run(world)["challenger"])
    assert manifest["segmenter"] == world.registry.manifest("starter-1")["segmenter"]


def test_one_that_is_no_better_does_not_serve_and_neither_does_an_earlier_one(world):
    earlier = run(world)["challenger"]
    world.networks.learns = "40"
    world.project.annotate(7, [square(5, 5)], patient=PATIENTS[0])
    summary = run(world, "provisional-1-000000000002")
    assert (summary["provisional"], summary["challenger"]) == (False, None)
    assert "no provisional model serves project 1" in summary["reason"]
    assert "not reliably better" in summary["reason"]
    assert ProvisionalModels(world.context.engine).versions() == {}
    assert AuditTrail(world.context.engine).newest()[0].action == "provisional model withdrawn"
    assert world.registry.versions() == ["starter-1", earlier]


def test_a_champion_that_moved_meanwhile_was_not_compared_with_so_nothing_serves(world):
    champion = world.registry.champion()
    folder = world.context.runs.parent / "starter"
    other = world.registry.register(
        detector=folder / "detector.safetensors",
        segmenter=folder / "segmenter.safetensors",
        manifest={"threshold": 0.4, "prompt_rule": "robust", "prompt_count": 3},
    )
    finetune = world.networks.finetune_detector

    def moving(*args, **options):
        if world.registry.champion() == champion:
            world.registry.promote(other, expected_epoch=champion.epoch, reason="meanwhile")
        return finetune(*args, **options)

    world.networks.finetune_detector = moving
    summary = run(world)
    assert not summary["provisional"]
    assert "the champion has moved" in summary["reason"]
    assert ProvisionalModels(world.context.engine).versions() == {}


def test_an_ended_run_returns_its_summary_and_trains_nothing_more(world):
    summary = run(world)
    count = len(world.networks.calls)
    again = provisional(
        Retrain(1, "provisional", "a test"),
        run=summary["run"],
        recipe=PROVISIONAL_RECIPES["provisional"],
        gate_patients=8,
        context=world.context,
        report=lambda *_: None,
        tags=ControlTags(),
        ledger=None,
    )
    assert again == summary
    assert len(world.networks.calls) == count


def test_with_patients_enough_for_the_gate_a_retrain_is_asked_for(world):
    with pytest.raises(RunConflict, match="runs start --project 1") as refused:
        run(world, gate_patients=1)
    assert refused.value.code == "gate_has_enough"


def test_too_few_corrections_say_how_many_are_needed(engine, world):
    with writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM revision WHERE task > 4")
        connection.exec_driver_sql("DELETE FROM event WHERE id > 4")
    with pytest.raises(InsufficientData, match=r"4 corrected images of 4 patients .* at least 5 of 2"):
        run(world)


def test_a_second_one_takes_the_place_of_the_first(engine):
    with writing(engine) as connection:
        for version in ("p0002-aaaaaaaa", "p0003-bbbbbbbb"):
            serve(connection, 4, version, reason="better", actor="test")
    (only,) = ProvisionalModels(engine).all().values()
    assert (only.project, only.version) == (4, "p0003-bbbbbbbb")


def test_many_patients_are_left_out_in_groups_each_once():
    cases = [SimpleNamespace(patient=f"{number % 20:016x}") for number in range(60)]
    groups = groups_of(cases, at_most=8)
    assert len(groups) == 8
    assert sorted(patient for group in groups for patient in group) == sorted({c.patient for c in cases})
    assert {len(group) for group in groups} == {2, 3}


def test_the_cases_are_those_of_all_folds():
    dataset = SimpleNamespace(cases=lambda fold, *, open_image: [fold])
    assert corrected_cases(dataset, SimpleNamespace(open_image=None)) == ["train", "validation", "test"]
