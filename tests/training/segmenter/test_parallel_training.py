"""Several processes train the weights of one, report their progress to the job, and die with it."""

import errno
import subprocess
import sys
from dataclasses import replace

import orjson
import psutil
import pytest
import torch

from mammo.errors import Cancelled, InsufficientData, InvalidSettings, ProcessKilled
from mammo.runs import classify
from mammo.segmenter.network import new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
from tests.training.segmenter_cases import case
from tests.training.segmenter_run import RECIPE
from training.cases import silent, unmeasured
from training.segmenter.finetune import cut_once, finetune_segmenter
from training.segmenter.parallel_training import TrainingRequest
from training.segmenter.process_messages import failure_fields, failure_of, parse_message
from training.segmenter.rank import train_share

pytestmark = pytest.mark.timeout(1800)
TOLERANCE = 2e-3
"""Of every weight after 12 steps, absolute or relative: two processes add up a batch's gradients in another order."""


def train(folder, *, processes, recipe=RECIPE, progress=silent, measure=unmeasured):
    return finetune_segmenter(
        [case(seed) for seed in (1, 2, 3)],
        [case(9)],
        start=None,
        recipe=recipe,
        folder=folder,
        processes=processes,
        progress=progress,
        measure=measure,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(tmp_path_factory.mktemp("alone"), processes=1)


def require_equal(one, two):
    (mine, facts), (theirs, others) = load_segmenter(one), load_segmenter(two)
    assert facts["run"] == others["run"]
    state = theirs.state_dict()
    for name, tensor in mine.state_dict().items():
        torch.testing.assert_close(state[name], tensor, atol=TOLERANCE, rtol=TOLERANCE, msg=name)


def family():
    """A launcher and its ranks."""
    children = psutil.Process().children()  # those of other tests too, such as a browser
    (launcher,) = [each for each in children if "training.segmenter.launcher" in each.cmdline()]
    found = [launcher, *launcher.children(recursive=True)]
    assert sum("training.segmenter.rank" in " ".join(each.cmdline()) for each in found) == 2
    return found


def require_gone(processes):
    _, left = psutil.wait_procs(processes, timeout=20)
    assert not left, [each.cmdline() for each in left]


@pytest.mark.slow
def test_two_processes_of_a_job_train_the_weights_of_one_and_report_every_step(alone, tmp_path):
    reports, measured = [], []
    weights = train(
        tmp_path,
        processes=2,
        progress=lambda share, message: reports.append((share, message)),
        measure=lambda *figure: measured.append(figure),
    )
    assert [step for name, step, _ in measured if name == "loss"] == list(range(1, RECIPE.steps + 1))
    require_equal(alone, weights)
    steps = [message.split(",")[0] for _, message in reports if "loss" in message]
    assert steps == [f"step {n} of {RECIPE.steps}" for n in range(1, RECIPE.steps + 1)]
    shares = [share for share, _ in reports]
    assert shares == sorted(shares)


@pytest.mark.slow
def test_killed_then_cancelled_it_leaves_no_process_and_one_process_ends_the_run_of_two(alone, tmp_path):
    job = subprocess.Popen(
        [sys.executable, "-m", "tests.training.segmenter_run", str(tmp_path), "2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with job:
        for line in job.stdout:
            if "step 6 of" in line:
                break
        killed = psutil.Process(job.pid).children(recursive=True)
        assert len(killed) >= 3, "a launcher and two ranks"
        job.kill()
    require_gone(killed)

    seen, began = [], []

    def stop(_, message):
        if "loss" in message:
            began.append(message)
            seen.extend(family())
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        train(tmp_path, processes=2, progress=stop)
    assert not began[0].startswith("step 1 of"), "it went on from a checkpoint"
    require_gone(seen)
    require_equal(alone, train(tmp_path, processes=1))


@pytest.mark.slow
def test_a_process_that_is_killed_fails_the_job_with_a_sentence_and_takes_the_other_along(tmp_path):
    seen = []

    def kill(_, message):
        if "loss" in message and not seen:
            seen.extend(family())
            ranks = [each for each in seen if each.environ().get("RANK") == "1"]
            assert len(ranks) == 1
            ranks[0].kill()

    with pytest.raises(ProcessKilled, match=r"process 2 of 2 was killed \(SIGKILL\).*dmesg") as caught:
        train(tmp_path, processes=2, progress=kill)
    require_gone(seen)
    assert classify(caught.value).kind == "killed"


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_is_started(tmp_path):
    with pytest.raises(InvalidSettings, match="does not divide the recipe's batch of 4"):
        train(tmp_path, processes=3)
    assert not (tmp_path / "processes.log").exists()


def test_a_process_that_fails_reports_why(tmp_path, capsys):
    network = new_network(RECIPE.config, seed=1)
    save_segmenter(tmp_path / "start.safetensors", network, facts={})
    for name, cases in (("train", [case(1)]), ("validation", [])):
        cut_once(
            cases,
            tmp_path / name,
            network=network,
            backgrounds=1,
            detect=None,
            progress=silent,
        )
    diverging = replace(RECIPE, learning_rate=1e30)
    request = TrainingRequest(recipe=diverging, start="start.safetensors", start_competes=False, facts={})
    request.write(tmp_path / "request.json")
    assert train_share(tmp_path / "request.json") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    error = failure_of(parse_message(last.encode()), num_processes=2)
    assert error.code == "training_diverged"
    assert "lower the learning rate" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        InsufficientData("no mask", code="masks"),
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
        ValueError("out of memory is a word that a label may hold"),
        ValueError("PatientName=Doe^Jane"),
    ],
)
def test_the_job_fails_for_the_reason_of_its_process(error):
    failure = failure_of(orjson.loads(orjson.dumps(failure_fields(error))), num_processes=2)
    assert classify(failure).kind == classify(error).kind
    assert getattr(failure, "code", None) == getattr(error, "code", None)
    assert "Doe" not in classify(failure).sentence


@pytest.mark.parametrize(
    ("ended", "is_killed"), [(-9, True), (-15, True), (-11, False), (-6, False), (1, False)]
)
def test_a_process_that_crashed_or_ended_by_itself_was_not_killed(ended, is_killed):
    failure = failure_of({"ended": ended, "rank": 0}, num_processes=2)
    assert isinstance(failure, ProcessKilled) == is_killed


def test_a_request_is_read_as_it_was_written(tmp_path):
    request = TrainingRequest(
        recipe=replace(RECIPE, learning_rate=0.1 + 0.2),
        start="a",
        start_competes=True,
        facts={"n": [1, None]},
    )
    request.write(tmp_path / "request.json")
    assert TrainingRequest.read(tmp_path / "request.json") == request
