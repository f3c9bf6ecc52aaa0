import json
from types import SimpleNamespace

import pytest
import structlog

from mammo.audit import AuditTrail
from mammo.database import writing
from mammo.errors import Cancelled, InsufficientData, InvalidTrainingData, TrainingDiverged
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ProvisionalModels
from mammo.models.provisional import serve
from mammo.runs import RunLedger, Runs, claim
from mammo.runs.payloads import Retrain
from tests.training.detections import square
from tests.training.earlier_release import freeze_as_before
from training.datasets.building import build_dataset_version
from training.datasets.sources import ReadOptions
from training.gate.gate import GateRule
from training.retrain.retrain import retrain
from training.retrain.step_progress import SHARES

ORDER = Retrain(1, "fake", "START_TRAINING")
PATIENTS = [f"{number:016x}" for number in range(12)]


def annotate(world, patients=PATIENTS):
    for number, patient in enumerate(patients, 1):
        world.project.annotate(number, [square(5, 5)], patient=patient)


def ledger_of(world, name):
    """The ledger of a run that this process has claimed; the same for every attempt."""
    if name not in world.ledgers:
        runs = Runs(world.context.engine)
        runs.request(1, recipe="fake", reason="a test", trigger="button", run_id=name)
        world.ledgers[name] = RunLedger(runs.engine, claim(runs, name, owner="nowhere/1/1"))
    return world.ledgers[name]


def run(world, name="run-1", *, rule=None, report=None, ledger=None, **recipe):
    recipe = {
        "detector": "detector recipe",
        "segmenter": "segmenter recipe",
        "gate": rule or GateRule(min_patients=2),
        "from_champion": True,
        "operating_rate": 0.5,
    } | recipe
    return retrain(
        ORDER,
        run=name,
        recipe=SimpleNamespace(**recipe),
        context=world.context,
        report=report or (lambda *report: world.reports.append(report)),
        tags=ControlTags(),
        ledger=ledger or ledger_of(world, name),
    )


def test_a_challenger_that_wins_becomes_the_champion(world):
    annotate(world)
    summary = run(world)
    assert summary["promoted"]
    assert world.registry.champion().version == summary["challenger"]
    assert summary["champion"] == "starter-1"
    assert summary["verdict"]["champion"]["dice"] == 0.0
    assert summary["verdict"]["challenger"]["dice"] == 1.0
    assert summary["verdict"]["num_patients"] == 3
    manifest = world.registry.manifest(summary["challenger"])
    assert manifest["parent"] == "starter-1"
    assert manifest["dataset_version"] == summary["dataset_version"]
    assert manifest["reason"] == "START_TRAINING"
    assert manifest["runtimes"] == {"detector": "fake runtime", "torch": "2.0"}
    assert world.registry.history()[-1].reason == summary["verdict"]["reason"]


def test_a_promotion_ends_the_service_of_its_projects_provisional_model_only(world):
    annotate(world)
    with writing(world.context.engine) as connection:
        for project in (1, 2):
            serve(connection, project, f"p0002-{project}", reason="better", actor="a test")
    summary = run(world)
    assert summary["promoted"]
    assert ProvisionalModels(world.context.engine).versions() == {2: "p0002-2"}
    newest = AuditTrail(world.context.engine).newest()[0]
    assert (newest.action, newest.actor) == ("provisional model withdrawn", "gate")
    assert summary["challenger"] in newest.reason


def test_a_challenger_has_a_presence_threshold_where_the_champion_has_one(world):
    annotate(world)
    without = world.registry.manifest(run(world)["challenger"])
    assert "presence_threshold" not in without
    champion = {"threshold": 0.3, "prompt_rule": "robust", "prompt_count": 3, "presence_threshold": 0.25}
    folder = world.context.runs.parent / "starter"
    version = world.registry.register(
        detector=folder / "detector.safetensors",
        segmenter=folder / "segmenter.safetensors",
        manifest=champion,
    )
    world.registry.promote(
        version, expected_epoch=world.registry.champion().epoch, reason="it knows presence", actor="a test"
    )
    after = world.registry.manifest(run(world, "run-2")["challenger"])
    assert after["presence_threshold"] == 0.25  # two validation clusters choose none: the champion's stays
    assert after["presence_point"]["num_clusters"] == 2
    assert after["presence_point"]["threshold"] == 0


def test_a_challenger_that_does_not_win_is_kept_but_does_not_serve(world):
    annotate(world)
    world.networks.learns = "40"
    summary = run(world)
    assert not summary["promoted"]
    assert world.registry.champion().version == "starter-1"
    assert summary["challenger"] in world.registry.versions()
    assert "not reliably better" in summary["reason"]


def test_training_starts_from_the_champion_and_never_sees_the_test_patients(world):
    annotate(world)
    run(world)
    (_, seen, start, recipe), (_, seen_too, _, other) = world.networks.calls
    assert (start, recipe, other) == ("40", "detector recipe", "segmenter recipe")
    held_out = set(PATIENTS) - set(seen)
    assert set(seen_too) == set(seen)
    assert len(held_out) == 5  # 3 for the test, 2 for the validation
    again = run(world, "run-2")
    assert world.networks.calls[2][2] == "5"  # from the new champion
    assert set(world.networks.calls[2][1]) == set(seen)
    assert again["champion"] == world.registry.champion().version or again["promoted"]


def test_the_run_folder_has_verdict_and_evaluations(world, tmp_path):
    annotate(world)
    summary = run(world)
    content = json.loads((tmp_path / "runs" / "run-1" / "verdict.json").read_text())
    assert content["verdict"] == json.loads(json.dumps(summary["verdict"]))
    assert len(content["evaluations"]["challenger"]["images"]) == 3
    assert set(summary["seconds"]) == set(SHARES)
    json.dumps(summary, allow_nan=False)


def test_a_run_that_has_ended_is_not_run_again(world):
    annotate(world)
    first = run(world)
    assert run(world) == json.loads(json.dumps(first))
    assert len(world.networks.calls) == 2


def test_progress_only_rises_and_names_the_steps_in_order(world):
    annotate(world)
    run(world)
    fractions = [fraction for _, fraction, _ in world.reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert list(dict.fromkeys(step for step, _, _ in world.reports)) == list(SHARES)
    assert ("detector", pytest.approx(0.25), "half") in world.reports


def test_a_champion_that_moved_during_the_run_is_not_pushed_aside(world):
    annotate(world)

    def somebody_promotes():
        champion = world.registry.champion()
        world.registry.promote("starter-1", expected_epoch=champion.epoch, reason="by hand")

    world.networks.between = somebody_promotes
    summary = run(world)
    assert summary["verdict"]["promote"]
    assert not summary["promoted"]
    assert "champion has moved" in summary["reason"]
    assert world.registry.champion().version == "starter-1"


def test_too_little_to_learn_or_to_judge_stops_before_training(world):
    with pytest.raises(InsufficientData, match="no correction"):
        run(world)
    world.project.annotate(99, [square(5, 5)], patient=PATIENTS[0])
    del world.project.images["99.dcm"]
    with pytest.raises(InsufficientData, match="image_not_found"):
        run(world)
    annotate(world, PATIENTS[:1])
    with pytest.raises(
        InsufficientData, match="only 0 patients are held out for the test and the gate needs 2"
    ):
        run(world)
    annotate(world)
    with pytest.raises(InsufficientData, match="gate needs 8"):
        run(world, rule=GateRule())
    assert world.networks.calls == []


def test_normal_patients_alone_teach_nothing(world):
    for number, patient in enumerate(PATIENTS, 1):
        world.project.annotate(number, [], patient=patient)
    with pytest.raises(InsufficientData, match="annotated cluster"):
        run(world)


def test_a_run_can_be_stopped_from_outside(world):
    annotate(world)

    def stop(step, fraction, message):
        if step == "segmenter":
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run(world, report=stop)
    assert world.registry.versions() == ["starter-1"]
    assert run(world)["promoted"]


@pytest.mark.parametrize(
    "error",
    [
        TrainingDiverged("the loss became nan"),
        InvalidTrainingData("training tile 000002.npy is damaged", code="corrupt_tile"),
    ],
    ids=lambda error: error.code,
)
def test_a_run_that_fails_leaves_the_champion_serving(world, error):
    annotate(world)
    before = world.registry.champion()

    def fail(*_, **__):
        raise error

    world.networks.finetune_detector = fail
    with pytest.raises(type(error)):
        run(world)
    assert world.registry.champion() == before
    assert world.registry.versions() == ["starter-1"]


def frozen_before(world, findings):
    """The newest dataset version as an earlier release wrote it, which read some annotations differently."""
    context = world.context
    dataset = build_dataset_version(
        context.store,
        context.engine,
        context.blobs,
        project=1,
        open_image=context.open_image,
        options=ReadOptions(tags=ControlTags(), prefer=context.prefer, with_automatic=False),
    )
    return freeze_as_before(context.engine, context.blobs, dataset, findings)


def recorded(world):
    """A run in the database, and a function that returns the lines of its log about annotations."""
    runs = Runs(world.context.engine)
    name = runs.request(1, recipe="fake", reason="a test", trigger="button").run
    taken = claim(runs, name, owner="nowhere/1/1", is_alive=lambda _: False)

    def logged():
        return [each.text for each in runs.events(name, limit=1000) if "annotations" in each.text]

    return RunLedger(runs.engine, taken), logged


def test_differences_from_the_newest_dataset_version_are_logged_and_do_not_stop_the_run(world):
    annotate(world)
    name = frozen_before(world, {1: [square(5, 5), square(40, 30, 4)], 2: []})
    ledger, logged = recorded(world)
    with structlog.testing.capture_logs() as lines:
        assert run(world, ledger=ledger)["promoted"]
    (text,) = logged()
    assert text.startswith(
        f"annotations compared with dataset version {name[:12]}: 10 unchanged, 2 changed (findings: 1 gone, 1 new"
    )
    (line,) = [each for each in lines if "interpreted differently" in each["event"]]
    assert (line["changed"], line["refused"], line["findings_gone"], line["findings_new"]) == (2, 0, 1, 1)


def test_without_differences_from_the_newest_dataset_version_nothing_is_logged(world):
    annotate(world)
    run(world)
    world.project.annotate(13, [square(5, 5)], patient="another")
    ledger, logged = recorded(world)
    run(world, "run-2", ledger=ledger)
    assert logged() == []


def test_a_dataset_version_that_cannot_be_opened_stops_no_run(world):
    annotate(world)
    name = frozen_before(world, {1: []})
    (world.context.runs.parent / "blobs" / "sha256" / name[:2] / name).unlink()
    ledger, logged = recorded(world)
    assert run(world, ledger=ledger)["promoted"]
    (text,) = logged()
    assert name[:12] in text
