"""A standalone bundle answers as the product does, in a process that has neither our packages nor torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mammo.detector import Detector
from mammo.dicom import MammogramHeader, read_mammogram, write_mammogram
from mammo.errors import InvalidBundle, InvalidWeights, StorageUnavailable
from mammo.findings import Finding
from mammo.models.starter_files import starter_files, starter_manifest
from mammo.phantom import phantom_view, vendor_a, vendor_b
from mammo.pipeline import Prelabeller
from mammo.segmenter import Segmenter
from mammo.standalone import write_standalone

ALONE = """
import runpy, sys
sys.dont_write_bytecode = True
for name in ("mammo", "backend", "worker", "training", "cli", "torch", "ultralytics"):
    sys.modules[name] = None  # importing it fails
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""

LOOKS = {"a": vendor_a(), "b": vendor_b()}
MIN_IOU, MIN_DICE, SCORE = 0.99, 0.99, 0.001
"""What the card promises."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standalone") / "bundle"
    write_standalone(starter_files(), starter_manifest(), to=folder)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-I", "-c", ALONE, str(folder / "inference.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)


def phantom(path: Path, look: str, seed: int) -> Path:
    appearance = LOOKS[look]
    view = phantom_view(seed, clusters=2, appearance=appearance, width=900, height=1200)
    inverted = appearance.photometric == "MONOCHROME1"
    header = MammogramHeader(
        laterality=view.laterality,
        view=view.view,
        spacing_mm=view.spacing_mm,
        bits=view.bits,
        patient_id="P",
        photometric=appearance.photometric,
    )
    write_mammogram(path, np.uint16(2**view.bits - 1) - view.stored if inverted else view.stored, header)
    return path


def product() -> Prelabeller:
    """The product as on a GPU: the breast in one pass."""
    files = starter_files()
    point = {name: getattr(files, name) for name in ("threshold", "prompt_rule", "prompt_count")}
    return Prelabeller(
        Detector.load(files.detector, threads=1, mode="whole"),
        Segmenter.load(files.segmenter, threads=1),
        version=files.version,
        presence_threshold=files.presence_threshold,
        **point,
    )


def dice(finding: Finding, outlines: list[list[list[int]]], shape: tuple[int, int]) -> float:
    drawn = np.zeros(shape, np.uint8)
    cv2.fillPoly(drawn, [np.array(outline, np.int32) for outline in outlines], 1)
    ours = np.zeros(shape, np.bool_)
    if finding.mask is not None:
        finding.mask.paste(ours)
        filled = np.zeros(shape, np.uint8)
        lines, _ = cv2.findContours(ours.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.fillPoly(filled, lines, 1)  # its holes too, as outlines cannot say them
        ours = filled > 0
    return float(2 * (ours & (drawn > 0)).sum() / max(1, ours.sum() + drawn.sum()))


def test_it_passes_its_self_test_without_our_packages_and_fails_it_with_another_answer(
    folder: Path, tmp_path: Path
) -> None:
    passed = run(folder, "--self-test")
    assert (passed.returncode, passed.stdout.strip()) == (0, "self-test passed"), passed.stderr
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    expected = json.loads((broken / "expected.json").read_text())
    expected["findings"][0]["area"] *= 2
    (broken / "expected.json").write_text(json.dumps(expected))
    failed = run(broken, "--self-test")
    assert failed.returncode == 1
    assert "self-test failed" in failed.stderr


@pytest.mark.slow
def test_its_findings_are_the_products_within_the_stated_tolerances(folder: Path, tmp_path: Path) -> None:
    prelabeller = product()
    compared = 0
    for look, seed in (("a", 71), ("b", 73)):
        image = phantom(tmp_path / f"{seed}.dcm", look, seed)
        answer = run(folder, str(image))
        assert answer.returncode == 0, answer.stderr
        rows = json.loads(answer.stdout)["findings"]
        mammogram = read_mammogram(image)
        findings = prelabeller.prelabel(mammogram, threshold=None).findings
        assert len(rows) == len(findings)
        for finding, row in zip(findings, rows, strict=True):
            compared += 1
            assert finding.score == pytest.approx(row["score"], abs=SCORE)
            assert finding.box.iou(dataclasses.replace(finding.box, **_corners(row))) >= MIN_IOU
            assert dice(finding, row["outlines"], mammogram.pixels.shape) >= MIN_DICE
    assert compared >= 2


def _corners(row: dict[str, Any]) -> dict[str, int]:
    return dict(zip(("x0", "y0", "x1", "y1"), row["box"], strict=True))


@pytest.mark.slow
def test_its_hashes_are_listed_and_the_same_version_gives_the_same_archive(
    folder: Path, tmp_path: Path
) -> None:
    listed = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert set(listed) | {"SHA256SUMS"} == {path.name for path in folder.iterdir()}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    hashes = write_standalone(starter_files(), starter_manifest(), to=tmp_path / "again.zip")
    assert {name: digest for name, digest in hashes.items() if name in listed} == listed
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        assert archive.read("README.md") == (folder / "README.md").read_bytes()
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_card_says_what_the_version_is_and_nothing_of_the_site(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert starter_manifest()["detector"]["sha256"] in text
    assert "No medical device" in text
    assert f"from a score of {starter_files().threshold}" in text


def test_what_must_stay_is_unknown_or_is_in_the_way_is_not_written(tmp_path: Path) -> None:
    manifest, to = starter_manifest(), tmp_path / "out.zip"
    with pytest.raises(InvalidBundle, match="must not leave this site: ours"):
        write_standalone(starter_files(), manifest | {"stays_at_site": ["ours"]}, to=to)
    with pytest.raises(InvalidWeights) as error:
        write_standalone(starter_files(), manifest | {"self_test": None}, to=to)
    assert error.value.code == "self_test_unknown"
    assert list(tmp_path.iterdir()) == []
    to.write_bytes(b"mine")
    with pytest.raises(StorageUnavailable, match="already exists"):
        write_standalone(starter_files(), manifest, to=to)
    assert to.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"for_processing": True}, "For Presentation"),
        ({}, "cannot be read as DICOM"),
    ],
)
def test_the_program_says_what_it_cannot_read(
    folder: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    image = tmp_path / "image.dcm"
    if change:
        header = MammogramHeader(
            laterality="L", view="CC", spacing_mm=0.07, bits=14, patient_id="P", **change
        )
        write_mammogram(image, np.full((64, 64), 9, np.uint16), header)
    else:
        image.write_bytes(b"no DICOM")
    answer = run(folder, str(image))
    assert answer.returncode == 1
    assert reason in answer.stderr
    assert "Traceback" not in answer.stderr
