"""A killed run resumes and ends with the same weights."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from mammo.errors import Cancelled, InvalidCheckpoint
from tests.training.segmenter_cases import case
from tests.training.segmenter_run import RECIPE, main
from training.segmenter.finetune import finetune_segmenter


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of an uninterrupted run."""
    return main(tmp_path_factory.mktemp("whole")).read_bytes()


def process(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.segmenter_run", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_killed_run_ends_with_the_same_bytes(tmp_path, whole):
    with process(tmp_path) as run:
        for line in run.stdout:
            if "step 7 " in line:
                os.kill(run.pid, signal.SIGKILL)
                break
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "segmenter.safetensors").exists()
    assert list((tmp_path / "checkpoints").glob("*.checkpoint"))
    assert main(tmp_path).read_bytes() == whole
    assert not (tmp_path / "checkpoints").exists()


def stop_after(step):
    def progress(fraction, message):
        if message.startswith(f"step {step} "):
            raise Cancelled("stopped by a person")

    return progress


def go(folder, *, recipe=RECIPE, **more):
    cases = [case(seed) for seed in (1, 2, 3)]
    return finetune_segmenter(cases, [case(9)], start=None, recipe=recipe, folder=folder, **more)


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path, whole):
    with pytest.raises(Cancelled):
        go(tmp_path, progress=stop_after(9))
    newest = max((tmp_path / "checkpoints").glob("*.checkpoint"))
    newest.write_bytes(newest.read_bytes()[:-100])
    seen = []
    path = go(tmp_path, progress=lambda fraction, message: seen.append(message))
    assert next(m for m in seen if m.startswith("step ")).startswith("step 7 ")
    assert path.read_bytes() == whole


def test_the_checkpoint_of_another_recipe_is_refused(tmp_path):
    with pytest.raises(Cancelled):
        go(tmp_path, progress=stop_after(5))
    with pytest.raises(InvalidCheckpoint, match="empty folder"):
        go(tmp_path, recipe=replace(RECIPE, learning_rate=1e-5))


def test_a_finished_run_is_not_trained_again(tmp_path):
    path = go(tmp_path)
    before, seen = path.stat().st_mtime_ns, []
    assert go(tmp_path, progress=lambda fraction, message: seen.append(message)) == path
    assert path.stat().st_mtime_ns == before
    assert not any(message.startswith("step") for message in seen)
