"""The real segmenter trainer when memory runs out; torch's error is raised by the test."""

from dataclasses import replace
from functools import partial

import pytest
import torch

import training.segmenter.finetune as trainer
from mammo.blobs import Blobs
from mammo.runs import RunLedger, Runs, claim
from mammo.segmenter.weights import load_segmenter
from tests.training.segmenter_cases import case
from training.retrain.train_once import train_once
from training.segmenter.recipes import segmenter_smoke

RECIPE = replace(segmenter_smoke(), batch=4)


class Killed(BaseException):
    """No code catches it, as none catches SIGKILL."""


@pytest.fixture
def memory(monkeypatch):
    """Records the sizes of trained batches; from the second step on, batches larger than `fits` run out of memory."""
    memory, real = Memory(), trainer.batches

    def guarded(*arguments, **named):
        for step, batch in real(*arguments, **named):
            regions = len(batch.labels) // RECIPE.prompts
            if step >= 1 and regions > memory.fits:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            memory.batches.append(regions)
            yield step, batch

    monkeypatch.setattr(trainer, "batches", guarded)
    return memory


class Memory:
    def __init__(self):
        self.fits, self.batches = 2, []


@pytest.fixture
def ledger(engine):
    runs = Runs(engine)
    run = runs.request(1, recipe="smoke", reason="a", trigger="button").run
    taken = claim(runs, run, owner="nowhere/1/1")
    assert taken is not None
    return RunLedger(engine, taken)


@pytest.fixture
def train(tmp_path):
    """Train the segmenter once, in the run folder `tmp_path`."""
    once = partial(trainer.finetune_segmenter, [case(1), case(2)], [case(9)], start=None)
    return lambda ledger: train_once(
        "segmenter",
        lambda recipe: once(recipe=recipe, folder=tmp_path / "segmenter"),
        recipe=RECIPE,
        folder=tmp_path,
        ledger=ledger,
        blobs=Blobs(tmp_path / "blobs"),
    )


def test_a_network_that_does_not_fit_is_trained_with_half_the_batch(memory, ledger, train):
    weights = train(ledger)
    assert memory.batches == [4, 2, 2, 2], "one step, then memory ran out; all steps of the smaller batch"
    assert load_segmenter(weights)[1]["steps"] == RECIPE.steps
    assert ledger.result("segmenter batch") == {"batch": 2}


def test_half_the_batch_is_tried_once_and_not_a_quarter(memory, ledger, train):
    memory.fits = 1
    with pytest.raises(torch.OutOfMemoryError):
        train(ledger)
    assert memory.batches == [4, 2]
    assert ledger.result("segmenter") is None


def test_a_kill_while_the_batch_is_halved_leaves_no_checkpoint_of_the_larger_one(
    memory, ledger, train, monkeypatch
):
    """It would be refused as that of another run, and the run could never be resumed."""
    keep = ledger.keep

    def dying(stage, result):
        keep(stage, result)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "keep", dying)
        with pytest.raises(Killed):
            train(ledger)
    assert ledger.result("segmenter batch") == {"batch": 2}
    train(ledger)
    assert memory.batches == [4, 2, 2, 2]
