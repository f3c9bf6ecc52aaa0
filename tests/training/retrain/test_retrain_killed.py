"""A retrain that is killed at any write of its ledger ends with the same result."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from mammo.labelstudio.labeling_config import ControlTags
from mammo.runs import RunLedger, Runs, claim
from tests.training.retrain.test_retrain import ORDER, annotate
from training.gate.gate import GateRule
from training.retrain.retrain import retrain
from training.retrain.train_once import train_once

RECIPE = SimpleNamespace(
    detector="detector recipe",
    segmenter="segmenter recipe",
    gate=GateRule(min_patients=2),
    from_champion=True,
    operating_rate=0.5,
)


@dataclass(frozen=True)
class Batched:
    batch: int


class Killed(BaseException):
    """No code catches it, as none catches SIGKILL."""


class DyingLedger(RunLedger):
    """The process dies before or after the n-th write."""

    def __init__(self, engine, taken, *, writes, before):
        super().__init__(engine, taken)
        self.left, self.before = writes, before

    def _dying(self, write):
        self.left -= 1
        if self.left == 0 and self.before:
            raise Killed
        answer = write()
        if self.left == 0:
            raise Killed
        return answer

    def enter(self, state):
        return self._dying(lambda: super(DyingLedger, self).enter(state))

    def keep(self, stage, result):
        return self._dying(lambda: super(DyingLedger, self).keep(stage, result))

    def end(self, state, outcome, **more):
        return self._dying(lambda: super(DyingLedger, self).end(state, outcome, **more))


def attempt(world, name, number, *, writes, before):
    runs = Runs(world.context.engine)
    taken = claim(runs, name, owner=f"nowhere/{number}/1", is_alive=lambda _: False)
    assert taken is not None
    ledger = DyingLedger(runs.engine, taken, writes=writes, before=before)
    return retrain(
        ORDER,
        run=name,
        recipe=RECIPE,
        context=world.context,
        report=lambda *_: ledger.beat(),
        ledger=ledger,
        tags=ControlTags(),
    )


WRITES = 13
"""Five states, seven results, one end."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_killed_at_any_write_it_ends_with_one_dataset_and_one_promotion(world, write, before):
    annotate(world)
    runs = Runs(world.context.engine)
    name = runs.request(1, recipe="fake", reason="a", trigger="button").run
    with pytest.raises(Killed):
        attempt(world, name, 1, writes=write, before=before)
    first = runs.results(name).get("dataset")
    if runs.get(name).active:
        attempt(world, name, 2, writes=WRITES + 1, before=before)
    else:
        assert (write, before) == (WRITES, False), "it ended before it was killed"
    results = runs.results(name)
    assert first in (None, results["dataset"])
    assert runs.get(name).state == "promoted"
    challenger = results["outcome"]["challenger"]
    assert results["outcome"]["dataset_version"] == results["dataset"]["name"]
    assert world.registry.champion().version == challenger
    assert [move.version for move in world.registry.history()] == ["starter-1", challenger]
    assert world.registry.versions() == ["starter-1", challenger]
    moves = [each.state for each in runs.events(name) if each.kind == "state"]
    assert moves == ["queued", "building", "detector", "segmenter", "evaluating", "judged", "promoted"]


def test_a_run_that_is_resumed_keeps_its_dataset_and_its_opponent(world):
    annotate(world)
    runs = Runs(world.context.engine)
    name = runs.request(1, recipe="fake", reason="a", trigger="button").run
    with pytest.raises(Killed):
        attempt(world, name, 1, writes=4, before=False)
    dataset = runs.results(name)["dataset"]["name"]
    annotate(world, [f"{number:016x}" for number in range(20, 24)])
    runs.cancel(name)
    runs.resume(name)
    summary = attempt(world, name, 2, writes=1000, before=False)
    assert summary["dataset_version"] == dataset
    assert summary["champion"] == "starter-1"
    json.dumps(summary, allow_nan=False)


def test_memory_that_runs_out_halves_the_batch_once(world, tmp_path):
    runs = Runs(world.context.engine)
    name = runs.request(1, recipe="fake", reason="a", trigger="button").run
    ledger = RunLedger(runs.engine, claim(runs, name, owner="nowhere/1/1"))
    seen = []

    def train(recipe, *, fits):
        seen.append(recipe.batch)
        if recipe.batch > fits:
            raise RuntimeError("CUDA out of memory")
        path = tmp_path / "detector" / "detector.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_text("weights")
        return path

    def once(*, fits):
        return train_once(
            "detector",
            lambda recipe: train(recipe, fits=fits),
            recipe=Batched(8),
            folder=tmp_path,
            ledger=ledger,
            blobs=world.context.blobs,
        )

    with pytest.raises(RuntimeError, match="out of memory"):
        once(fits=2)
    assert seen == [8, 4]
    once(fits=4)
    assert seen == [8, 4, 4], "the next attempt begins with the smaller batch"
    once(fits=0)
    assert seen == [8, 4, 4], "what is trained is not trained again"
    assert any("once more with 4" in each.text for each in runs.events(name))
