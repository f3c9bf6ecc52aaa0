from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mammo.detector import Detector, DetectorSpec, load_network, save_detector
from mammo.errors import Cancelled, InsufficientData, InvalidTrainingData, InvalidWeights
from mammo.geometry import Box
from tests.mammo.detector.networks import lively_network
from tests.training.detector_cases import case
from training.cases import silent
from training.detector.box_loss import BoxLoss
from training.detector.finetune import finetune_detector
from training.detector.recipes import Replay, detector_smoke
from training.detector.tiles import TileRules, TileSet, write_tiles

CLUSTER_BOX = Box(60, 200, 110, 250)
CASES = [case(1, CLUSTER_BOX), case(2, CLUSTER_BOX), case(3)]
RECIPE = replace(detector_smoke(), tile=96, background=0.2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "detector.safetensors"
    save_detector(path, lively_network(DetectorSpec(attention="se", tile=128, overlap=32)), facts={})
    return path


def test_a_run_from_scratch_gives_a_detector_that_detects(tmp_path: Path) -> None:
    fractions: list[float] = []
    measured: list[tuple[str, int, float]] = []
    result = finetune_detector(
        CASES,
        [],
        start=None,
        recipe=RECIPE,
        folder=tmp_path / "run",
        progress=lambda fraction, message: fractions.append(fraction),
        measure=lambda *figure: measured.append(figure),
    )
    assert {(name, epoch) for name, epoch, _ in measured} == {
        (f"{loss} loss", epoch + 1) for loss in ("box", "cls", "dfl") for epoch in range(RECIPE.epochs)
    }
    detector = Detector.load(result, runtime="torch")
    assert detector.spec == RECIPE.spec
    assert detector.facts["recipe"]["name"] == "smoke"
    assert (detector.facts["clusters"], detector.facts["images"], detector.facts["from_scratch"]) == (
        2,
        3,
        True,
    )
    detector.detect(CASES[0].read().pixels, threshold=0.5, spacing=None)
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert torch.get_num_threads() == 1


def test_fine_tuning_keeps_the_spec_of_its_start_and_moves_its_weights_a_little(
    tmp_path: Path, start: Path
) -> None:
    result = finetune_detector(
        CASES, [], start=start, recipe=RECIPE, folder=tmp_path / "run", progress=silent
    )
    assert load_network(result)[0].spec.attention == "se"
    before, after = load_file(start), load_file(result)
    name = "model.0.conv.weight"
    change = float((after[name].float() - before[name].float()).norm() / before[name].float().norm())
    assert 0 < change < 0.2


def test_tiles_are_cut_with_the_spacing_and_the_normalisation_that_the_start_was_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with those of the recipe, whose spec a run with start weights does not use."""
    older = tmp_path / "older.safetensors"
    spec = DetectorSpec(tile=128, overlap=32, spacing_mm=0.1, normalisation="grey-and-contrast")
    assert (spec.spacing_mm, spec.normalisation) != (RECIPE.spec.spacing_mm, RECIPE.spec.normalisation)
    save_detector(older, lively_network(spec), facts={})
    seen = []

    def recorded(cases: Any, folder: Path, rules: TileRules, **options: Any) -> TileSet:
        seen.append((rules.spacing_mm, rules.normalisation))
        return write_tiles(cases, folder, rules, **options)

    monkeypatch.setattr("training.detector.finetune.write_tiles", recorded)
    recipe = replace(RECIPE, validation_crops=1)
    held = [case(9, CLUSTER_BOX)]
    result = finetune_detector(
        CASES, held, start=older, recipe=recipe, folder=tmp_path / "run", progress=silent
    )
    assert seen == [(0.1, "grey-and-contrast")] * 2
    assert load_network(result)[0].spec == spec


def test_fixed_norms_keep_the_statistics_of_the_start(tmp_path: Path, start: Path) -> None:
    name = "model.0.bn.running_mean"
    before = load_file(start)[name]
    for fixed in (True, False):
        recipe = replace(RECIPE, fixed_norms=fixed)
        result = finetune_detector(
            CASES, [], start=start, recipe=recipe, folder=tmp_path / f"{fixed}", progress=silent
        )
        assert torch.equal(load_file(result)[name], before) is fixed


def test_the_same_seed_on_the_same_cases_gives_the_same_weights(tmp_path: Path, start: Path) -> None:
    recipe = replace(RECIPE, box_loss=BoxLoss(kind="paper"), mosaic=1.0)
    first, again = (
        load_file(
            finetune_detector(CASES, [], start=start, recipe=recipe, folder=tmp_path / name, progress=silent)
        )
        for name in ("first", "again")
    )
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_with_validation_the_best_epoch_is_kept(tmp_path: Path, start: Path) -> None:
    recipe = replace(RECIPE, validation_crops=1, epochs=2)
    measured: list[tuple[str, int, float]] = []
    result = finetune_detector(
        CASES[:1],
        CASES[1:2],
        start=start,
        recipe=recipe,
        folder=tmp_path / "run",
        progress=silent,
        measure=lambda *figure: measured.append(figure),
    )
    load_network(result)
    assert [epoch for name, epoch, _ in measured if name == "validation AP50"] == [1, 2]
    epochs = (tmp_path / "run" / "run" / "results.csv").read_text().splitlines()
    assert len(epochs) == 1 + 2
    assert "metrics/mAP50(B)" in epochs[0]


def test_no_pickle_and_no_pixels_are_left_behind(tmp_path: Path, start: Path) -> None:
    finetune_detector(CASES, [], start=start, recipe=RECIPE, folder=tmp_path / "run", progress=silent)
    assert list((tmp_path / "run").rglob("*.safetensors"))
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in {".pt", ".png", ".cache"}]


def test_a_cancelled_run_stops_at_once_and_says_so(tmp_path: Path, start: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        if message.startswith("detector: epoch"):
            raise Cancelled("somebody pressed stop")

    with pytest.raises(Cancelled, match="pressed stop"):
        finetune_detector(CASES, [], start=start, recipe=RECIPE, folder=tmp_path / "run", progress=stop)
    assert not (tmp_path / "run" / "detector.safetensors").exists()
    assert torch.get_num_threads() == 1
    assert not torch.are_deterministic_algorithms_enabled()


def test_without_any_cluster_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(InsufficientData, match="none of the 2 training images"):
        finetune_detector(
            [case(1), case(2)], [], start=None, recipe=RECIPE, folder=tmp_path / "run", progress=silent
        )
    with pytest.raises(InsufficientData, match="none of the 0 training images"):
        finetune_detector([], [], start=None, recipe=RECIPE, folder=tmp_path / "run", progress=silent)


def test_a_label_that_is_no_class_of_the_model_is_refused(tmp_path: Path) -> None:
    (cluster,) = CASES[0].truth
    foreign = replace(CASES[0], truth=(cluster, replace(cluster, label="Mass")))
    with pytest.raises(InvalidTrainingData, match="'Mass'; the models only have 'Cluster': rename") as error:
        finetune_detector([foreign], [], start=None, recipe=RECIPE, folder=tmp_path / "run", progress=silent)
    assert error.value.code == "foreign_label"


def test_a_patient_in_two_folds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTrainingData, match="for example patient-2") as error:
        finetune_detector(
            CASES, CASES[1:2], start=None, recipe=RECIPE, folder=tmp_path / "run", progress=silent
        )
    assert error.value.code == "patient_in_two_folds"


def test_a_fine_tune_sees_phantoms_again_and_false_alarms_of_its_start(tmp_path: Path, start: Path) -> None:
    recipe = replace(RECIPE, replay=Replay(views=2, width=256, height=256), mined=1)
    plain, remembering = (
        finetune_detector(
            CASES[:1], [], start=start, recipe=each, folder=tmp_path / str(index), progress=silent
        )
        for index, each in enumerate((RECIPE, recipe))
    )
    before, after = (load_network(path)[1] for path in (plain, remembering))
    assert after["positive_tiles"] > before["positive_tiles"]
    assert after["recipe"]["replay"]["views"] == 2


def test_start_weights_that_are_no_detector_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"not weights")
    with pytest.raises(InvalidWeights):
        finetune_detector(CASES, [], start=other, recipe=RECIPE, folder=tmp_path / "run", progress=silent)


def test_a_run_is_another_one_once_a_place_is_marked_by_a_point(tmp_path: Path, start: Path) -> None:
    def trained() -> dict[str, Any]:
        result = finetune_detector(
            cases, [], start=start, recipe=RECIPE, folder=tmp_path / "run", progress=silent
        )
        return load_network(result)[1]

    cases = CASES
    before = trained()
    cases = [replace(CASES[0], uncertain=(Box(80, 220, 90, 230),)), *CASES[1:]]
    after = trained()
    assert before["run_key"] != after["run_key"]
    assert (before["positive_tiles"], after["positive_tiles"]) == (2 * RECIPE.crops, RECIPE.crops)


def test_clusters_that_all_lie_beside_a_marked_place_teach_nothing_and_check_nothing(
    tmp_path: Path, start: Path
) -> None:
    beside = [replace(each, uncertain=(Box(80, 220, 90, 230),)) for each in CASES]
    with pytest.raises(InsufficientData, match="marked by a point only"):
        finetune_detector(beside, [], start=None, recipe=RECIPE, folder=tmp_path / "none", progress=silent)
    check = replace(case(9, CLUSTER_BOX), uncertain=(Box(80, 220, 90, 230),))
    recipe = replace(RECIPE, validation_crops=2)
    result = finetune_detector(
        CASES, [check], start=start, recipe=recipe, folder=tmp_path / "run", progress=silent
    )
    assert Detector.load(result, runtime="torch").facts["positive_tiles"] == 2 * RECIPE.crops
