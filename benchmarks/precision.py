"""A prelabel in bfloat16 against float32, and the check that lets `auto` choose it, on phantom patients."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.result import Result, milliseconds
from mammo import phantom
from mammo.models.starter_files import starter_files
from mammo.pipeline import Prelabeller
from training.cases import silent
from training.evaluation.precision_check import PrecisionRule, check_model
from training.phantom_cases import PHANTOM_SECRET, POSITIVE, write_phantom_patients

SEEDS = range(9700, 9714)
"""Patients of four views."""

ROUNDS = 9


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
        models = {
            name: Prelabeller.load(replace(files, bfloat16=allowed), threads=1, exported=folder / "exported")
            for name, allowed in (("float32 (baseline)", False), ("bfloat16", True))
        }
        mammogram = next(case for case in cases if len(case.truth) == 1).read()
        seconds: dict[str, list[float]] = {name: [] for name in models}
        for number in range(ROUNDS + 1):
            for name, model in models.items():
                began = time.process_time()
                model.prelabel(mammogram, threshold=None)
                if number:  # after a warm-up
                    seconds[name].append(time.process_time() - began)
        check = check_model(
            files,
            cases,
            threads=1,
            exported=folder / "exported",
            rule=PrecisionRule(),
            progress=silent,
        )
    baseline = next(iter(seconds.values()))
    against = {
        name: statistics.median(old / new for old, new in zip(baseline, own, strict=True))
        for name, own in seconds.items()
    }
    rows = [
        (
            f"whole prelabel, {name}",
            models[name].runtimes["detector"],
            milliseconds(statistics.median(each)),
            f"{against[name]:.2f} x",
        )
        for name, each in seconds.items()
    ]
    if check is not None:
        rows.append(("detector, median image of the check", "", "", f"{check.speedup:.2f} x"))
    sentence = check.sentence if check else "This processor has no bfloat16: nothing to check."
    counts = (
        f" {check.num_patients} patients, {check.num_images} images, {check.num_lesions} clusters."
        if check
        else ""
    )
    return Result(
        title="Prelabel in bfloat16, starter model",
        method=(
            f"One phantom mammogram of 2560 x 3328 with one cluster, one thread, {ROUNDS} interleaved rounds, "
            "medians of processor time. "
            f"The check on phantom patients of vendor_a (seeds {SEEDS.start} to {SEEDS.stop - 1}):{counts} {sentence}."
        ),
        columns=("what", "detector", "time", "against float32"),
        rows=rows,
    )
