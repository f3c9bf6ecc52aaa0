from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from training.checkpoints import Checkpoints

KEY = "recipe on data"


def state(value: float) -> dict[str, object]:
    return {"weights": torch.full((4,), value), "best": value, "groups": [{"lr": value}]}


def saved(folder: Path, *epochs: int) -> Checkpoints:
    checkpoints = Checkpoints(folder / "state", KEY)
    for number in epochs:
        checkpoints.save(number, state(float(number)))
    return checkpoints


def newest(checkpoints: Checkpoints) -> Path:
    return sorted(checkpoints.folder.iterdir())[-1]


def test_the_newest_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    found = saved(tmp_path, 1, 2, 3).latest()
    assert found is not None
    assert found.epochs == 3
    assert torch.equal(found.state["weights"], torch.full((4,), 3.0))
    assert (found.state["best"], found.state["groups"]) == (3.0, [{"lr": 3.0}])


def test_a_run_without_any_checkpoint_starts_from_the_beginning(tmp_path: Path) -> None:
    assert saved(tmp_path).latest() is None


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_torn_last_file_falls_back_to_the_one_before(tmp_path: Path, share: float) -> None:
    checkpoints = saved(tmp_path, 1, 2, 3)
    path = newest(checkpoints)
    os.truncate(path, int(path.stat().st_size * share))
    found = checkpoints.latest()
    assert found is not None
    assert found.epochs == 2


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1, 2)
    path = newest(checkpoints)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    found = checkpoints.latest()
    assert found is not None
    assert found.epochs == 1


def test_old_generations_are_removed_and_at_the_end_all(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1, 2, 3, 4)
    assert len(list(checkpoints.folder.iterdir())) == 2
    checkpoints.remove()
    assert not checkpoints.folder.exists()
    checkpoints.remove()


def test_a_checkpoint_of_another_run_is_passed_over(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    assert Checkpoints(tmp_path / "state", "other recipe").latest() is None


def test_a_kill_while_writing_leaves_the_last_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = saved(tmp_path, 1)

    def die(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mammo.atomic_files.os.replace", die)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(2, state(2.0))
    found = checkpoints.latest()
    assert found is not None
    assert found.epochs == 1


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    checkpoints = saved(tmp_path, 1)
    checkpoints.save(2, {"trap": Trap()})
    found = checkpoints.latest()
    assert found is not None
    assert found.epochs == 1
    assert not (tmp_path / "trapped").exists()
