"""An adaptation from its images to its verdict, with networks that are quick to train."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from cli.adapt import lines_of
from mammo.annotations import AnnotationStore
from mammo.errors import Cancelled, InsufficientData, InvalidBackgrounds
from mammo.runs import RunLedger, Runs, claim
from mammo.runs.payloads import Adapt
from mammo.verdicts.archive import VerdictArchive, verdict_blobs
from mammo.verdicts.places import places
from mammo.verdicts.report import write_report
from mammo.verdicts.strata import strata
from tests.training.adapt.site import FakeNetworks, background_set, context_of, freeze, recipe
from tests.training.retrain.test_retrain_killed import DyingLedger, Killed
from training.adapt.adapt import SHARES, adapt
from training.datasets.folds import assign_folds

ORDER = Adapt(0, "fake", "a new scanner", ("ours",))
PATIENTS = [f"{number:016x}" for number in range(16)]


@pytest.fixture
def world(engine: Engine, store: AnnotationStore, tmp_path: Path) -> SimpleNamespace:
    """A site with one normal image each of sixteen patients, and a champion that is blind."""
    networks = FakeNetworks()
    return SimpleNamespace(
        networks=networks,
        context=context_of(engine, store, tmp_path, networks),
        sets=[background_set(tmp_path / "ours", PATIENTS)],
        runs=Runs(engine),
        reports=[],
    )


def requested(world: SimpleNamespace) -> str:
    return world.runs.request(
        0, recipe="fake", reason="a test", trigger="adapt", order={"backgrounds": ["ours"]}
    ).run


def ledger_of(world: SimpleNamespace, name: str, *, attempt: int = 1) -> RunLedger:
    taken = claim(world.runs, name, owner=f"nowhere/{attempt}/1", is_alive=lambda _: False)
    assert taken is not None
    return RunLedger(world.runs.engine, taken)


def run(
    world: SimpleNamespace,
    *,
    order: Adapt = ORDER,
    ledger: RunLedger | None = None,
    name: str = "",
    **options: Any,
) -> Any:
    name = name or requested(world)
    values = {"recipe": recipe(), "report": lambda *report: world.reports.append(report)} | options
    return adapt(
        order,
        sets=world.sets,
        run=name,
        context=world.context,
        ledger=ledger or ledger_of(world, name),
        **values,
    )


def test_a_challenger_that_finds_the_inserted_clusters_becomes_the_champion_and_stays_at_the_site(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    summary = run(world)
    verdict = summary["verdict"]
    assert summary["promoted"], summary["reason"]
    registry = world.context.registry
    assert registry.champion().version == summary["challenger"]
    assert summary["reason"].endswith("(adapted, judged on inserted clusters)")
    assert verdict["judged_on"] == "adapted, judged on inserted clusters"
    assert verdict["champion"]["primary"] == 0
    assert verdict["challenger"]["primary"] > 0.5
    assert (verdict["num_patients"], verdict["num_images"], verdict["test"]) == (4, 4, None)
    assert verdict["untouched"] == {"champion": 0, "challenger": 0}
    manifest = registry.manifest(summary["challenger"])
    assert manifest["stays_at_site"] == ["ours (consent of 2026)"]
    assert manifest["adapted_to"]["sets"] == [
        {"name": "ours", "licence": "consent of 2026", "may_ship": False}
    ]
    assert manifest["parent"] == "starter-1"
    assert summary["images"] == {
        "train": 10,
        "validation": 2,
        "held_out": 4,
        "set_aside": 0,
        "unreadable": 0,
    }
    content = json.loads((tmp_path / "runs" / summary["run"] / "verdict.json").read_text())
    assert len(content["evaluations"]["challenger"]["inserted"]["images"]) == 12
    assert not (tmp_path / "runs" / summary["run"] / "material").exists(), "it holds pixels of patients"
    json.dumps(summary, allow_nan=False)


def test_the_verdict_is_kept_with_pictures_part_by_part(world: SimpleNamespace) -> None:
    freeze(world.context, [f"corrected-{number}" for number in range(12)])
    name = run(world, order=replace(ORDER, project=1))["run"]
    archive = VerdictArchive(world.runs, world.context.blobs)
    record = archive.read(archive.runs.get(name))
    assert Counter(image.part for image in record.images) == {"untouched": 4, "inserted": 12, "test": 3}
    assert record.verdict["judged_on"] == "adapted, judged on inserted clusters"
    assert record.challenger.curve is not None
    won = [each for each in places(record) if each.kind == "won"]
    assert won
    assert {each.image.part for each in won} == {"inserted"}
    assert won[0].key in record.crops, "what was drawn is gone, its picture is not"
    titles = [title for title, _ in strata(record)]
    assert "Size, images with inserted clusters" in titles
    page = write_report(archive.runs.get(name), archive=archive)
    assert "lesions that were inserted into images without one" in page
    assert "findings per untouched image shown" in page
    assert verdict_blobs(world.context.engine) >= set(record.pictures)


def test_training_sees_drawn_clusters_and_untouched_images_and_no_held_out_patient(
    world: SimpleNamespace,
) -> None:
    summary = run(world)
    (_, detector, _), (_, segmenter, validation) = world.networks.calls
    trained = {case.patient for case in detector}
    assert len(detector) == 20  # of ten backgrounds, a copy and the untouched image
    assert sum(not case.truth for case in detector) >= 10
    assert {case.patient for case in segmenter} == trained
    held_out = set(PATIENTS) - trained - {case.patient for case in validation}
    assert len(held_out) == 4
    folds = assign_folds(world.context.engine, dict.fromkeys(PATIENTS, False), before={})
    assert {patient for patient in PATIENTS if folds[patient] == "test"} == held_out
    assert list(dict.fromkeys(step for step, _, _ in world.reports)) == list(SHARES)
    assert set(summary["seconds"]) == set(SHARES)


def test_a_patient_keeps_the_fold_that_a_dataset_version_gave(world: SimpleNamespace) -> None:
    before = assign_folds(world.context.engine, dict.fromkeys(PATIENTS[:7], True), before={})
    run(world)
    trained = {case.patient for case in world.networks.calls[0][1]}
    assert trained.isdisjoint(patient for patient, fold in before.items() if fold != "train")


def test_the_frozen_test_patients_of_the_project_are_judged_on_too(world: SimpleNamespace) -> None:
    name = freeze(world.context, [f"corrected-{number}" for number in range(12)])
    summary = run(world, order=replace(ORDER, project=1))
    assert (summary["dataset_version"], summary["project"]) == (name, 1)
    assert summary["verdict"]["test"]["num_patients"] == 3
    assert summary["promoted"], "neither version finds anything in them"
    assert "score on the 3 frozen test patients 0.000 -> 0.000" in summary["reason"]


def test_weights_may_ship_if_every_set_and_the_champion_may(world: SimpleNamespace, tmp_path: Path) -> None:
    world.sets = [background_set(tmp_path / "public", PATIENTS, may_ship=True)]
    registry = world.context.registry
    first = run(world)["challenger"]
    assert "stays_at_site" not in registry.manifest(first)
    world.sets = [background_set(tmp_path / "ours", PATIENTS)]
    second = run(world)
    assert registry.manifest(second["challenger"])["stays_at_site"] == ["ours (consent of 2026)"]
    champion = registry.champion()
    registry.promote(second["challenger"], expected_epoch=champion.epoch, reason="a test")
    world.sets = [background_set(tmp_path / "public", PATIENTS, may_ship=True)]
    third = run(world)["challenger"]
    assert registry.manifest(third)["stays_at_site"] == ["ours (consent of 2026)"], "it began with those"


def test_a_challenger_that_is_not_better_is_registered_and_does_not_serve(world: SimpleNamespace) -> None:
    world.networks.learns = "blind too"
    summary = run(world)
    assert not summary["promoted"]
    assert "not reliably better" in summary["reason"]
    assert world.context.registry.champion().version == "starter-1"
    assert summary["challenger"] in world.context.registry.versions()


def test_with_few_held_out_patients_nothing_is_promoted_whatever_the_figures(world: SimpleNamespace) -> None:
    summary = run(world, recipe=recipe(min_patients=8))
    assert not summary["promoted"]
    assert "only 4 patients are held out, the gate needs 8" in summary["reason"]
    assert "about 16 more" in summary["reason"]


def test_images_that_champion_and_baseline_suspect_are_set_aside_and_named(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    world.sets = [background_set(tmp_path / "ours", PATIENTS, suspicious={3, 5})]
    suspicious = world.sets[0].backgrounds[3]
    # The champion is also sure of an image that the baseline finds nothing in, and not of number 5.
    world.networks.strong = {suspicious.sha256, world.sets[0].backgrounds[8].sha256}
    name = requested(world)
    summary = run(world, name=name)
    assert summary["set_aside"] == ["ours/3.png"]
    assert all(case.patient != suspicious.patient for case in world.networks.calls[0][1])
    logged = [event.text for event in world.runs.events(name)]
    assert "set aside as suspicious: ours/3.png" in logged


def test_images_that_cannot_be_read_are_left_out_and_named_with_the_reason(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    """More patients, so that enough images are left."""
    world.sets = [background_set(tmp_path / "ours", [*PATIENTS, *(f"other-{n}" for n in range(4))])]
    gone, pipe = (each.path for each in world.sets[0].backgrounds[-2:])
    gone.unlink()
    pipe.unlink()
    os.mkfifo(pipe)
    name = requested(world)
    summary = run(world, name=name)
    assert summary["unreadable"] == [f"ours/{gone.name}", f"ours/{pipe.name}"]
    assert summary["images"]["unreadable"] == 2
    logged = [event.text for event in world.runs.events(name) if "left out" in event.text]
    assert len(logged) == 2
    assert any(gone.name in text and "is missing" in text for text in logged)
    assert any(pipe.name in text and "it is a pipe" in text for text in logged)
    lines = lines_of(summary)
    assert any("left out, it cannot be read" in line and gone.name in line for line in lines)


def test_too_few_images_are_refused_with_what_came_and_what_is_needed(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    world.sets = [background_set(tmp_path / "few", PATIENTS[:11])]
    with pytest.raises(
        InsufficientData, match="11 images of 11 patients came; an adaptation needs at least 12"
    ):
        run(world)
    world.runs.cancel(world.runs.newest()[0].id)
    world.sets = [background_set(tmp_path / "one", PATIENTS[:1] * 14)]
    with pytest.raises(InsufficientData, match="14 images of 1 patients came"):
        run(world)
    world.runs.cancel(world.runs.newest()[0].id)
    world.sets = [background_set(tmp_path / "ours", PATIENTS, suspicious=range(8))]
    world.networks.strong = {each.sha256 for each in world.sets[0].backgrounds}
    with pytest.raises(
        InsufficientData, match="16 images came, 8 were set aside as suspicious, and 8 are left"
    ):
        run(world)
    assert world.networks.calls == []


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("write", [2, 4, 6, 7, 9, 10, 12, 13])
def test_killed_at_a_write_it_ends_with_the_same_images_and_one_promotion(
    world: SimpleNamespace, write: int, before: bool
) -> None:
    name = requested(world)
    first = DyingLedger(world.runs.engine, _claimed(world, name, 1), writes=write, before=before)
    with pytest.raises(Killed):
        run(world, name=name, ledger=first, report=lambda *_: None)
    images = world.runs.results(name).get("images")
    if world.runs.get(name).active:
        run(world, name=name, ledger=ledger_of(world, name, attempt=2))
    results = world.runs.results(name)
    assert images in (None, results["images"])
    challenger = results["outcome"]["challenger"]
    assert world.runs.get(name).state == "promoted"
    assert world.context.registry.versions() == ["starter-1", challenger]
    assert [move.version for move in world.context.registry.history()] == ["starter-1", challenger]
    assert len([network for network, *_ in world.networks.calls]) <= 3, (
        "a trained network is not trained again"
    )


def _claimed(world: SimpleNamespace, name: str, attempt: int) -> Any:
    return claim(world.runs, name, owner=f"nowhere/{attempt}/1", is_alive=lambda _: False)


def test_a_cancelled_run_leaves_no_pixels_and_goes_on_with_its_images(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    name = requested(world)

    def stop(step: str, *_: Any) -> None:
        if step == "segmenter":
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run(world, name=name, report=stop)
    assert not (tmp_path / "runs" / name / "material").exists()
    world.runs.cancel(name)
    world.runs.resume(name)
    assert run(world, name=name, ledger=ledger_of(world, name, attempt=2))["promoted"]
    assert [network for network, *_ in world.networks.calls] == ["detector", "segmenter"]
    world.runs.request(0, recipe="fake", reason="a", trigger="adapt", order={"backgrounds": ["ours"]})


def test_an_image_that_left_its_set_stops_a_run_that_began_with_it(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    name = requested(world)
    ledger = DyingLedger(world.runs.engine, _claimed(world, name, 1), writes=2, before=False)
    with pytest.raises(Killed):
        run(world, name=name, ledger=ledger, report=lambda *_: None)
    world.sets = [background_set(tmp_path / "ours", PATIENTS[:15])]
    with pytest.raises(InvalidBackgrounds, match="1 images that this run began with"):
        run(world, name=name, ledger=ledger_of(world, name, attempt=2))
