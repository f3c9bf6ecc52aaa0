"""Whatever comes from outside and is damaged is read or refused: never a traceback. Many more: `benchmarks.siege`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.siege.mutations import KINDS, MAX_BYTES, Tally, attack

COUNTS = {"webhook": 40, "dicom": 40, "coco": 60}


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_input_is_read_or_refused_with_an_error_of_ours(kind: str, tmp_path: Path) -> None:
    tally = Tally(kind, seed=1)
    attack(tally, count=COUNTS.get(kind, 100), folder=tmp_path)
    assert tally.tracebacks == []
    assert len(tally.outcomes) > 1, "some are refused, or all would be"
    assert tally.peak < MAX_BYTES


def test_a_stopped_run_goes_on_where_it_was_and_makes_the_same_mutations(tmp_path: Path) -> None:
    whole, path = Tally("rle", seed=1), tmp_path / "tally.json"
    attack(whole, count=30, folder=tmp_path)
    attack(Tally("rle", seed=1), count=20, folder=tmp_path, path=path)
    resumed = Tally.load(path, kind="rle", seed=1)
    assert resumed.done == 20
    attack(resumed, count=30, folder=tmp_path, path=path)
    assert Tally.load(path, kind="rle", seed=1).outcomes == whole.outcomes
