"""The gate's evaluation of a model version: without a cache, filling one, and from one."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.result import Result, milliseconds
from mammo import phantom
from mammo.models.starter_files import starter_files
from mammo.pipeline import Prelabeller
from training.cases import silent
from training.evaluation.cache import EvaluationCache
from training.evaluation.model_version import evaluate
from training.phantom_cases import PHANTOM_SECRET, POSITIVE, write_phantom_patients

SEEDS = range(9600, 9601)
"""Patients of four views."""

ROUNDS = 3
BASELINE = "without a cache (baseline)"
BOTH = "champion and challenger, without a cache (baseline of the next)"


def run() -> Result:
    files = starter_files()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cases = write_phantom_patients(
            folder / "phantoms",
            seeds=SEEDS,
            appearance=phantom.vendor_a(),
            positive=POSITIVE,
            patient_secret=PHANTOM_SECRET,
            progress=silent,
        )
        champion = Prelabeller.load(files, threads=1, exported=folder / "exported")
        # A retrain's challenger: other weights in earnest, another operating point here, which is another model too.
        challenger = Prelabeller.load(
            replace(files, threshold=files.threshold + 0.01), threads=1, exported=folder / "exported"
        )
        known = EvaluationCache(folder / "known", max_bytes=2**26)
        evaluate(champion, cases, progress=silent, cache=known)
        fresh = (
            EvaluationCache(folder / f"fresh-{number}", max_bytes=2**26) for number in range(2 * ROUNDS + 2)
        )

        def judged(cache: EvaluationCache | None) -> None:
            evaluate(champion, cases, progress=silent, cache=cache)
            evaluate(challenger, cases, progress=silent)

        candidates: dict[str, Callable[[], object]] = {
            BASELINE: lambda: evaluate(champion, cases, progress=silent),
            "first time, filling the cache": lambda: evaluate(
                champion, cases, progress=silent, cache=next(fresh)
            ),
            "second time, from the cache": lambda: evaluate(champion, cases, progress=silent, cache=known),
            BOTH: lambda: judged(None),
            "champion from the cache, challenger computed": lambda: judged(known),
        }
        ratios = _ratios(candidates)
        read = statistics.median(_seconds(case.read) for case in cases for _ in range(ROUNDS))
    rows = [
        (name, milliseconds(seconds / len(cases)), f"{statistics.median(against):.3g} x")
        for name, (seconds, against) in ratios.items()
    ]
    rows.append(("of it, reading the DICOM file", milliseconds(read), ""))
    return Result(
        title="Evaluation for the gate, starter model",
        method=(
            f"{len(cases)} phantom mammograms ({len(SEEDS)} patients), one thread, runtime `auto`, time per image; the "
            f"ratio is the median of {ROUNDS} interleaved rounds, each against the baseline of its round."
        ),
        columns=("evaluation", "time per image", "against the baseline"),
        rows=rows,
    )


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _ratios(candidates: dict[str, Callable[[], object]]) -> dict[str, tuple[float, list[float]]]:
    """Median seconds of each candidate, and in each round its baseline's time over its own."""
    rounds = [{name: _seconds(call) for name, call in candidates.items()} for _ in range(ROUNDS)]
    baselines = dict.fromkeys(candidates, BASELINE)
    baselines |= dict.fromkeys(list(candidates)[3:], BOTH)
    return {
        name: (
            statistics.median(each[name] for each in rounds),
            [each[baselines[name]] / each[name] for each in rounds],
        )
        for name in candidates
    }
