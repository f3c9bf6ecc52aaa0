from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from mammo.detector import load_network
from mammo.errors import InvalidBackgrounds
from mammo.models import STARTER
from mammo.phantom import vendor_a
from tests.training.insertion.backgrounds import background_set
from training.cases import silent
from training.detector.recipes import detector_finetune
from training.evaluation.model_version import Evaluation, ImageScore
from training.metrics import Hits
from training.starter.manifest import NETWORKS, mean_dice, rounded
from training.starter.material import HELD_OUT, StarterMaterial
from training.starter.recipe import SEEDS, train_starter

SMALL = replace(vendor_a(), width=448, height=576)


def test_one_half_is_trained_and_described_beside_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.starter.recipe.vendor_a", lambda: SMALL)
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    shutil.copyfile(STARTER / "segmenter.safetensors", out / "segmenter.safetensors")
    train_starter(
        out=out,
        work=work,
        backgrounds=[background_set(tmp_path / "backgrounds")],
        smoke=True,
        only="detector",
        progress=silent,
    )
    facts = load_network(out / "detector.safetensors")[1]
    point = facts["operating_point"]
    assert point["phantoms"]["seeds"] == [2000, 2020]
    assert point["real_normals"]["women"] == ["monai-A3"]
    assert point["threshold"] == max(point[part]["threshold"] for part in ("phantoms", "real_normals"))
    assert facts["held_out_inserted"]["women"] == sorted(HELD_OUT)
    assert facts["held_out"]["images"] == 8
    manifest = json.loads((out / "manifest.json").read_text())
    for network in NETWORKS:
        content = (out / f"{network}.safetensors").read_bytes()
        assert manifest["weights"][network]["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["threshold"] == facts["operating_point"]["threshold"]
    assert manifest["evaluation"]["detector"] == facts["held_out"]
    assert manifest["version"].startswith("starter-")
    assert manifest["presence_threshold"] == manifest["presence_point"]["threshold"]
    dice = manifest["evaluation"]["dice_all_clusters"]
    assert 0 <= dice["low"] <= dice["value"] <= dice["high"] <= 1


def test_backgrounds_that_may_not_leave_the_site_are_refused(tmp_path: Path) -> None:
    private = background_set(tmp_path / "backgrounds", may_ship=False)
    with pytest.raises(InvalidBackgrounds, match="may not go into weights that leave this site"):
        StarterMaterial.of([private], tmp_path, smoke=True, progress=silent)


def test_no_woman_is_trained_on_and_judged_on(tmp_path: Path) -> None:
    sets = [background_set(tmp_path / "backgrounds")]
    material = StarterMaterial.of(sets, tmp_path, smoke=True, progress=silent)
    women = {fold: {case.patient for case in material.cases(fold)} for fold in ("train", "test", "normal")}
    assert women["train"].isdisjoint(women["test"] | women["normal"])
    assert "monai-A3" in women["test"] & women["normal"]


def test_dice_counts_a_missed_cluster_as_nothing_or_not_at_all() -> None:
    hits = Hits((), (), 0)
    images = [
        ImageScore(str(n), f"p{n}", hits, dice, 1, 1.0) for n, dice in enumerate([(0.8, 0.0), (0.6,), ()])
    ]
    evaluation = Evaluation("v", 0.5, tuple(images))
    assert mean_dice(evaluation).value == pytest.approx(1.4 / 3)
    assert mean_dice(evaluation, matched_only=True).value == pytest.approx(0.7)
    assert rounded(mean_dice(Evaluation("v", 0.5, tuple(images[2:])))) == {
        "value": None,
        "low": None,
        "high": None,
    }


def test_no_patient_is_in_two_sets() -> None:
    for seeds in SEEDS.values():
        for first, second in combinations((seeds.train, seeds.validation, seeds.test), 2):
            assert set(first).isdisjoint(second)
    replay = detector_finetune().replay
    replayed = range(replay.seed, replay.seed + replay.views)
    assert all(
        set(replayed).isdisjoint(part) for each in SEEDS.values() for part in (each.test, each.validation)
    )


def test_the_shipped_manifest_says_what_its_weights_say() -> None:
    manifest = json.loads((STARTER / "manifest.json").read_text())
    facts = load_network(STARTER / "detector.safetensors")[1]
    for network in NETWORKS:
        content = (STARTER / f"{network}.safetensors").read_bytes()
        assert manifest["weights"][network]["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["threshold"] == facts.get("operating_point", {"threshold": 0.2})["threshold"]
