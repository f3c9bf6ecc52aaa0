"""Stopped and killed runs resume and end with the same weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mammo.detector import Detector, DetectorSpec, load_network, save_detector
from mammo.errors import Cancelled, InvalidTrainingData, TrainingDiverged
from tests.mammo.detector.networks import lively_network
from tests.training.detector_run import CASES, RECIPE, run
from training.detector.finetune import finetune_detector
from training.detector.trainer import AttentionTrainer

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "detector.safetensors"
    save_detector(path, lively_network(DetectorSpec(attention="se", tile=128, overlap=32)), facts={})
    return path


@pytest.fixture(scope="module")
def whole(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of an uninterrupted run."""
    result = run(start, tmp_path_factory.mktemp("whole") / "run")
    assert any(
        not torch.equal(a, b)
        for a, b in zip(load_file(start).values(), load_file(result).values(), strict=True)
    )
    return result


def killed_in(epoch: int, start: Path, folder: Path) -> None:
    """Run in another process and kill it in the middle of an epoch."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.training.detector_run", str(start), str(folder)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child:
        for line in child.stdout:
            if f"epoch {epoch} of" in line:
                child.kill()
                break
        else:
            pytest.fail("the run ended before it could be killed")
    assert child.returncode == -9


def cancelled_in(epoch: int, start: Path, folder: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        if f"epoch {epoch} of" in message:
            raise Cancelled("somebody pressed stop")

    with pytest.raises(Cancelled, match="pressed stop"):
        finetune_detector(CASES, [], start=start, recipe=RECIPE, folder=folder, progress=stop)


def assert_same_weights(first: Path, second: Path) -> None:
    a, b = load_file(first), load_file(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_a_run_killed_in_an_epoch_goes_on_and_ends_with_the_same_weights(
    tmp_path: Path, start: Path, whole: Path
) -> None:
    folder = tmp_path / "run"
    killed_in(3, start, folder)
    assert sorted(path.name for path in (folder / "state").iterdir()) == [
        "000001.checkpoint",
        "000002.checkpoint",
    ]
    messages: list[str] = []
    result = finetune_detector(
        CASES,
        [],
        start=start,
        recipe=RECIPE,
        folder=folder,
        progress=lambda _, message: messages.append(message),
    )
    assert not any("epoch 1 of" in message or "epoch 2 of" in message for message in messages)
    assert_same_weights(result, whole)
    Detector.load(result, runtime="torch").detect(CASES[0].read().pixels, threshold=0.5, spacing=None)
    assert not (folder / "state").exists()
    assert not (folder / "tiles").exists()


def test_a_torn_last_checkpoint_costs_one_epoch_and_nothing_else(
    tmp_path: Path, start: Path, whole: Path
) -> None:
    folder = tmp_path / "run"
    cancelled_in(3, start, folder)
    last = folder / "state" / "000002.checkpoint"
    os.truncate(last, last.stat().st_size // 2)
    messages: list[str] = []
    result = finetune_detector(
        CASES,
        [],
        start=start,
        recipe=RECIPE,
        folder=folder,
        progress=lambda _, message: messages.append(message),
    )
    assert not any("epoch 1 of" in message for message in messages)
    assert any("epoch 2 of" in message for message in messages)
    assert_same_weights(result, whole)


def test_a_cancelled_run_keeps_its_state_and_no_pixels(tmp_path: Path, start: Path) -> None:
    folder = tmp_path / "run"
    cancelled_in(2, start, folder)
    assert (folder / "state" / "000001.checkpoint").is_file()
    assert not (folder / "tiles").exists()
    assert not (folder / "detector.safetensors").exists()
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_killed_after_its_last_epoch_is_not_trained_again(
    tmp_path: Path, start: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def load(path: Path) -> object:
        return die() if path.is_file() else load_network(path)

    with monkeypatch.context() as patched:
        patched.setattr("training.detector.finetune.load_network", load)  # reads the trained weights
        with pytest.raises(KeyboardInterrupt):
            run(start, folder)
    monkeypatch.setattr(AttentionTrainer, "train", die)
    assert_same_weights(run(start, folder), whole)
    assert_same_weights(run(start, folder), whole)  # and neither when it was wholly done


def test_other_arguments_are_another_run(tmp_path: Path, start: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    cancelled_in(3, start, folder)
    messages: list[str] = []
    result = finetune_detector(
        CASES[:1], [], start=start, recipe=RECIPE, folder=folder, progress=lambda _, m: messages.append(m)
    )
    assert any("epoch 1 of" in message for message in messages)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(load_file(result).values(), load_file(whole).values(), strict=True)
    )


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do(
    tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = AttentionTrainer._report

    def poisoned(trainer: AttentionTrainer) -> None:
        trainer.loss = trainer.loss * float("nan")
        report(trainer)

    monkeypatch.setattr(AttentionTrainer, "_report", poisoned)
    with pytest.raises(
        TrainingDiverged, match=r"became nan in epoch 1 of 3 .* lower its learning rate .* champion"
    ):
        run(start, tmp_path / "run")
    assert not (tmp_path / "run" / "detector.safetensors").exists()


def test_a_damaged_tile_stops_the_run(tmp_path: Path, start: Path) -> None:
    folder = tmp_path / "run"

    def damage(fraction: float, message: str) -> None:
        for path in (folder / "tiles").rglob("*.npy"):
            if message.startswith("detector: epoch"):
                os.truncate(path, 100)

    with pytest.raises(InvalidTrainingData, match=r"\.npy is damaged"):
        finetune_detector(CASES, [], start=start, recipe=RECIPE, folder=folder, progress=damage)
