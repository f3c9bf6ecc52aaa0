import hashlib
from dataclasses import replace

import pytest
import torch

from mammo.detector import Detector
from mammo.errors import Cancelled, InsufficientData, InvalidWeights, TrainingDiverged
from mammo.geometry import Spacing
from mammo.models import STARTER
from mammo.segmenter import Segmenter
from mammo.segmenter.network import new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
from tests.training.segmenter_cases import case
from training.segmenter.finetune import _low_threshold_boxes, finetune_segmenter
from training.segmenter.recipes import segmenter_smoke

torch.set_num_threads(1)

SMOKE = segmenter_smoke()
TRAIN, VALIDATION = [case(1), case(2)], [case(9)]


@pytest.fixture
def start(tmp_path):
    path = tmp_path / "start.safetensors"
    save_segmenter(path, new_network(SMOKE.config, seed=5), facts={})
    return path


def run(folder, *, start=None, validation=VALIDATION, recipe=SMOKE, **more):
    return finetune_segmenter(TRAIN, validation, start=start, recipe=recipe, folder=folder, **more)


def changed(before, after) -> set[str]:
    ours, theirs = (load_segmenter(path)[0].state_dict() for path in (before, after))
    return {name for name in ours if not torch.equal(ours[name], theirs[name])}


def test_a_run_returns_weights_that_serve_and_say_where_they_come_from(tmp_path, start):
    measured = []
    path = run(tmp_path / "run", start=start, measure=lambda *figure: measured.append(figure))
    facts = Segmenter.load(path).facts
    assert {name for name, _, _ in measured} == {
        "loss",
        "validation Dice by box",
        "validation Dice with points",
    }
    assert max(step for _, step, _ in measured) == SMOKE.steps
    assert path.suffix == ".safetensors"
    assert (facts["recipe"], facts["precision"]) == ("segmenter_smoke", "float32")
    assert facts["start_sha256"] == hashlib.sha256(start.read_bytes()).hexdigest()
    assert (facts["num_train_clusters"], facts["num_train_patients"]) == (2, 2)
    assert facts["validation"]["num_clusters"] == 1


def test_a_recipe_may_give_its_start_weights_a_box_prior(tmp_path):
    old = tmp_path / "old.safetensors"
    save_segmenter(old, new_network(SMOKE.config, seed=5), facts={})
    network, _ = load_segmenter(run(tmp_path / "with", start=old, recipe=replace(SMOKE, adds=("box_prior",))))
    assert network.config.box_prior
    plain, _ = load_segmenter(run(tmp_path / "without", start=old, recipe=SMOKE))
    assert not plain.config.box_prior


def test_a_recipe_may_give_its_start_weights_the_head_that_negatives_teach(tmp_path):
    old = tmp_path / "old.safetensors"
    save_segmenter(old, new_network(replace(SMOKE.config, presence=False), seed=5), facts={})
    network, facts = load_segmenter(
        run(tmp_path / "run", start=old, recipe=replace(SMOKE, policy="hq", adds=("presence",)))
    )
    assert network.config.presence
    assert facts["validation"]["presence_auc"] is not None
    plain, _ = load_segmenter(run(tmp_path / "plain", start=old))
    assert not plain.config.presence


def test_lora_changes_only_queries_and_values_of_the_later_half_and_is_merged(tmp_path, start):
    path = run(tmp_path / "run", start=start, validation=[], recipe=replace(SMOKE, policy="lora"))
    touched = {name for name in changed(start, path) if name.startswith("image_encoder.")}
    assert touched == {f"image_encoder.blocks.{block}.attn.qkv.weight" for block in (2, 3)}
    before, after = (load_segmenter(p)[0].image_encoder.blocks[3].attn.qkv for p in (start, path))
    keys = slice(32, 64)
    assert torch.equal(before.weight[keys], after.weight[keys])
    assert torch.equal(before.bias, after.bias)


@pytest.mark.parametrize("policy", ["hq", "decoder"])
def test_a_frozen_encoder_stays_as_it_was(tmp_path, start, policy):
    path = run(tmp_path / "run", start=start, validation=[], recipe=replace(SMOKE, policy=policy))
    names = changed(start, path)
    assert names
    assert all(name.startswith("mask_decoder.") for name in names)
    assert ("mask_decoder.output_upscaling.0.weight" in names) == (policy == "decoder")


def test_policy_all_trains_the_encoder_too(tmp_path, start):
    path = run(tmp_path / "run", start=start, validation=[], recipe=replace(SMOKE, policy="all"))
    assert "image_encoder.pos_embed" in changed(start, path)


def test_the_same_seed_gives_the_same_weights(tmp_path, start):
    first, second = (run(tmp_path / name, start=start) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_start_that_training_only_ruins_is_returned_as_it_was(tmp_path, start):
    path = run(tmp_path / "run", start=start, recipe=replace(SMOKE, learning_rate=10.0))
    assert changed(start, path) == set()
    moved = run(tmp_path / "moved", start=start, validation=[])
    assert changed(start, moved)


@pytest.mark.slow
def test_learning_lowers_the_loss(tmp_path):
    messages = []
    recipe = replace(SMOKE, steps=100, batch=4, policy="all", learning_rate=3e-3, num_points=1024)
    run(
        tmp_path,
        recipe=recipe,
        validation=[],
        progress=lambda fraction, message: messages.append(message),
    )
    losses = [float(message.rsplit(" ", 1)[1]) for message in messages if message.startswith("step")]
    assert len(losses) == 100
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_progress_never_falls_and_ends_at_one(tmp_path):
    fractions = []
    run(tmp_path, progress=lambda fraction, message: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_run_stops_at_the_step_where_it_is_cancelled(tmp_path):
    seen = []

    def cancel(fraction, message):
        seen.append(message)
        if message.startswith("step 2"):
            raise Cancelled("stopped by a person")

    with pytest.raises(Cancelled):
        run(tmp_path, progress=cancel)
    assert not any(message.startswith("step 3") for message in seen)
    assert not (tmp_path / "segmenter.safetensors").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do(tmp_path):
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        run(tmp_path, recipe=replace(SMOKE, learning_rate=1e30, steps=20))
    assert not (tmp_path / "segmenter.safetensors").exists()


def test_without_a_mask_there_is_nothing_to_learn(tmp_path):
    with pytest.raises(InsufficientData, match="mask"):
        finetune_segmenter([case(1, masked=False)], [], start=None, recipe=SMOKE, folder=tmp_path)


def test_a_start_that_is_no_segmenter_is_refused(tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no weights")
    with pytest.raises(InvalidWeights):
        run(tmp_path / "run", start=bad)


def test_false_positives_are_looked_for_in_pixels_of_the_size_that_they_have(monkeypatch):
    spacings = []

    def detect(self, pixels, *, threshold, spacing):
        spacings.append(spacing)
        return []

    monkeypatch.setattr(Detector, "detect", detect)
    film = replace(case(1).read(), spacing=Spacing(0.2, 0.1, "given"))
    _low_threshold_boxes(STARTER / "detector.safetensors")(film)
    assert spacings == [Spacing(0.2, 0.1, "given")]
