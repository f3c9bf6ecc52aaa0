from __future__ import annotations

import json
from pathlib import Path

from tests.training.evaluation.scored_images import ALL, SPACING, evaluated, mammogram, measured, scored
from training.cases import Case
from training.evaluation.image_cases import EvaluationImage, EvaluationSet
from training.evaluation.image_report import MeasuredDetector, image_report


def test_a_report_shows_detectors_side_by_side(tmp_path: Path) -> None:
    images = evaluated(*ALL, on_normals=True)
    detectors = [
        MeasuredDetector(
            name=name, sha256=sha256, scored=scored(*ALL), figures=measured(*ALL, threshold=point)
        )
        for name, sha256, point in (("m0001", "abc", 0.5), ("baseline", "", 0.15))
    ]
    report = image_report(detectors, images, facts={"normals": "folder"}, pictures={"sheet": "sheet.png"})
    paths = report.write(tmp_path, name="images")
    assert [path.name for path in paths] == ["images.md", "images.json", "images.froc.png"]
    text = paths[0].read_text()
    assert "Sensitivity by false positives per normal image (FROC)" in text
    assert "| m0001 | 0.5 | 0.667" in text
    assert "2 of 3 | 0.500" in text
    assert "| longer side | lesions | m0001 | baseline |" in text
    assert "![sheet](sheet.png)" in text
    assert "- weights of m0001: abc" in text
    content = json.loads(paths[1].read_text())
    assert content["figures"]["detectors"]["baseline"]["false_positives"]["value"] == 1.0
    assert content["figures"]["images"][0]["breast_cm2"] == 40.0
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_a_report_on_normals_alone_has_no_curve(tmp_path: Path) -> None:
    names = ("clean", "marked")
    detector = MeasuredDetector(name="m0001", sha256="", scored=scored(*names), figures=measured(*names))
    report = image_report([detector], evaluated(*names, on_normals=True), facts={}, pictures={})
    assert [path.name for path in report.write(tmp_path, name="images")] == ["images.md", "images.json"]
    assert "FROC" not in (tmp_path / "images.md").read_text()


def test_one_patient_for_all_images_is_warned_about() -> None:
    images = evaluated(*ALL, on_normals=True)
    cases = tuple(
        EvaluationImage(
            name=each.name,
            case=Case(image=each.case.image, patient="ANON", read=mammogram, truth=each.case.truth),
            spacing=SPACING,
            breast_cm2=1.0,
        )
        for each in images.images
    )
    report = image_report(
        [], EvaluationSet(images=cases, left_out=(), on_normals=True), facts={}, pictures={}
    )
    assert "placeholder" in report.facts["warning"]
