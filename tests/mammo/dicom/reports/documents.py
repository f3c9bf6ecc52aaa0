"""Reports for the tests of this folder, and what independent programs say about them."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import strategies as st

from mammo.bi_rads import DISTRIBUTIONS, MORPHOLOGIES, SUSPICIONS
from mammo.dicom.reports.mammography_cad import CadImage, write_mammography_cad
from mammo.dicom.reports.measurement_report import write_measurement_report
from mammo.dicom.reports.reading import read_report
from mammo.dicom.reports.report import FindingsReport
from mammo.dicom.results import Origin
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask
from tests.mammo.dicom.files import mammogram_file

SIZE = Size(32, 48)
"""Of `mammogram_file`."""

WEIGHTS = ("detector " + "a" * 64, "segmenter " + "b" * 64)
CORRECTED = Origin(
    made_by="semiautomatic", version="m0007-aabbccdd", weights=WEIGHTS, person="annotator-0a1b2c3d"
)
ORIGINS = [
    Origin(made_by="automatic", version="m0001", weights=WEIGHTS),
    CORRECTED,
    Origin(made_by="manual", person="p"),
]


def finding(bitmap: Any = None, x: int = 3, y: int = 5, **options: Any) -> Finding:
    """A cluster of two parts, one with a hole, that touch at a corner."""
    if bitmap is None:
        bitmap = np.zeros((8, 8), np.bool_)
        bitmap[:5, :5] = True
        bitmap[2, 2] = False
        bitmap[5:7, 5:8] = True
    mask = Mask(np.asarray(bitmap, np.bool_), x, y).tight()
    assert mask is not None
    return Finding(
        **({"label": CLUSTER, "score": 1.0, "box": mask.frame, "mask": mask, "id": "f1"} | options)
    )


def instance(source: bytes) -> str:
    """SOPInstanceUID of a file."""
    return str(pydicom.dcmread(io.BytesIO(source), stop_before_pixels=True).SOPInstanceUID)


def write(path: Path, kind: str, *findings: Finding, source: bytes | None = None, **options: Any) -> Path:
    """Write a report of either kind on one mammogram."""
    source = source or mammogram_file()
    counts = options.pop("num_calcifications", [7] * len(findings))
    origin = options.pop("origin", CORRECTED)
    if kind == "cad":
        image = CadImage(source=source, findings=findings, num_calcifications=counts, origin=origin)
        write_mammography_cad(path, [image], **options)
    else:
        write_measurement_report(
            path, findings, source=source, origin=origin, num_calcifications=counts, **options
        )
    return path


def read(path: Path, *, source: bytes | None = None) -> FindingsReport:
    return read_report(path, image=instance(source or mammogram_file()), size=SIZE)


def dumped(path: Path) -> str:
    """What dcmtk's dsrdump shows; fail if it finds an error. Skips the test where the program is not installed."""
    program = shutil.which("dsrdump")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("dsrdump is missing: CI installs Debian's dcmtk")
        pytest.skip("needs dsrdump of Debian's dcmtk")
    done = subprocess.run(
        [program, "--print-all-codes", "--print-long-values", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))] == []
    return done.stdout


@st.composite
def clusters(draw: st.DrawFn) -> Finding:
    """Clusters of any form, with any words."""
    rows = st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=8, max_size=8)
    bitmap = np.array(draw(rows.filter(lambda each: any(map(any, each)))))
    return finding(
        bitmap,
        draw(st.integers(0, 24)),
        draw(st.integers(0, 40)),
        morphology=draw(st.sampled_from([None, *MORPHOLOGIES])),
        distribution=draw(st.sampled_from([None, *DISTRIBUTIONS])),
        suspicion=draw(st.sampled_from([None, *SUSPICIONS])),
        comment=draw(st.sampled_from(["", "seen before", "ärgerlich\nnah"])),
        id=draw(st.sampled_from(["", "f1", "ring", "a\\b"])),
        lesion=draw(st.sampled_from(["", "L1"])),
    )
