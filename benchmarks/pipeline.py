"""One full-field phantom through the starter model, step by step."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.result import Result, interleaved, milliseconds
from mammo.dicom import display_twin, encode_png, read_mammogram
from mammo.models.starter_files import starter_files
from mammo.phantom import vendor_a
from mammo.site import Site
from training.cases import silent
from training.phantom_cases import write_phantom_patients


def run() -> Result:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        write_phantom_patients(
            Path(folder),
            seeds=[77],
            appearance=vendor_a(),
            positive=1.0,
            patient_secret=b"k",
            progress=silent,
        )
        per_view = (time.perf_counter() - began) / 4
        file = sorted(Path(folder).glob("*.dcm"))[0]
        mammogram = read_mammogram(file)
        prelabeller = Site.load().load_files(starter_files())
        detections = prelabeller.detect(mammogram, threshold=None)
        twin = display_twin(file)
        seconds = interleaved(
            {
                "DICOM to model-ready pixels": lambda: read_mammogram(file),
                "8-bit twin": lambda: display_twin(file),
                "PNG of the twin": lambda: encode_png(twin),
                "detector, whole mammogram": lambda: prelabeller.detect(mammogram, threshold=None),
                f"prompts and masks of {len(detections)} boxes": lambda: prelabeller.prelabel(
                    mammogram, detections=detections, threshold=None
                ),
                "whole prelabel (baseline)": lambda: prelabeller.prelabel(mammogram, threshold=None),
            },
            rounds=5,
        )
    whole = seconds["whole prelabel (baseline)"]
    rows = [(name, milliseconds(value), f"{value / whole:.2f}") for name, value in seconds.items()]
    rows.append(
        ("draw one phantom view and write it as DICOM", milliseconds(per_view), f"{per_view / whole:.2f}")
    )
    memory = psutil.Process().memory_info().rss / 2**20
    return Result(
        title="Pipeline, starter model, one 2560 x 3328 phantom",
        method=f"Median of 5 interleaved rounds after a warm-up; memory {memory:.0f} MiB RSS at the end.",
        columns=("stage", "time", "of a whole prelabel"),
        rows=rows,
    )
