"""`yolo-mlsam prelabel` on real files with the starter weights."""

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from cli.__main__ import app, main
from cli.prelabel import describe, distinct_names
from mammo.dicom import write_mammogram
from mammo.exchange.prelabel_report import spacing_warning
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Point, Size, Spacing
from mammo.masks import Mask
from mammo.phantom import phantom_view
from mammo.segmenter.roi import dilated


@pytest.fixture(scope="module")
def view():
    return phantom_view(4, clusters=1, width=640, height=832)


@pytest.fixture(scope="module")
def outcome(view, tmp_path_factory):
    """One run over a DICOM, a PNG, a JPEG, a TIFF, a PGM and two files that are no images."""
    folder = tmp_path_factory.mktemp("prelabel")
    write_mammogram(
        folder / "dicom.dcm",
        view.stored,
        laterality="L",
        view="CC",
        spacing_mm=view.spacing_mm,
        bits=view.bits,
        patient_id="P1",
    )
    grey = (view.stored >> (view.bits - 8)).astype(np.uint8)
    for name in ("scan.png", "scan.jpg", "film.tif", "mias.pgm"):
        assert cv2.imwrite(str(folder / name), grey)
    (folder / "broken.dcm").write_bytes(b"\0" * 200)
    files = ["broken.dcm", "dicom.dcm", "scan.png", "scan.jpg", "film.tif", "mias.pgm", "missing.png"]
    arguments = ["prelabel", *(str(folder / file) for file in files), "--out", str(folder / "out")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--spacing", "0.05", "--model", "starter"])
    return end.value.code, folder


def one(finding):
    return ImageFindings(findings=(finding,), num_cut=0)


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / "out" / f"{name}.json").read_text())


def test_unreadable_files_are_said_and_the_others_are_done(outcome):
    code, folder = outcome
    assert code == 2
    for name in ("broken", "missing"):
        report = read(folder, name)
        assert report["error"]
        assert report["findings"] == []
        assert not (folder / "out" / f"{name}.overlay.png").exists()
    for name in ("dicom", "scan", "scan.jpg", "film", "mias"):
        assert read(folder, name)["error"] is None


def test_every_report_names_its_file_and_one_model_version(outcome):
    _, folder = outcome
    reports = [json.loads(path.read_text()) for path in (folder / "out").glob("*.json")]
    assert {Path(report["file"]).name for report in reports} == {
        "broken.dcm", "dicom.dcm", "scan.png", "scan.jpg", "film.tif", "mias.pgm", "missing.png"
    }  # fmt: skip
    assert len({report["model_version"] for report in reports}) == 1
    assert set(reports[0]) == {"file", "model_version", "spacing_mm", "findings", "num_cut", "error"}


def test_findings_beyond_the_best_are_counted_in_report_and_closing_line(
    outcome, tmp_path, monkeypatch, capsys
):
    """The image is the one above; it shows one finding more than it may here."""
    _, folder = outcome
    best = read(folder, "dicom")["findings"]
    monkeypatch.setattr("mammo.pipeline.MAX_FINDINGS", len(best) - 1)
    files = [str(folder / name) for name in ("dicom.dcm", "broken.dcm")]
    with pytest.raises(SystemExit):
        main(["prelabel", *files, "--out", str(tmp_path), "--model", "starter"])
    report, failed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("dicom", "broken"))
    assert (len(report["findings"]), report["num_cut"]) == (len(best) - 1, 1)
    assert failed["num_cut"] == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert (
        f"1 files prelabelled, {len(best) - 1} findings, 1 files failed; 1 findings of 1 files are not"
        in line
    )


def test_where_everything_is_shown_nothing_is_said_of_a_cut(outcome):
    _, folder = outcome
    assert [read(folder, name)["num_cut"] for name in ("dicom", "scan", "film")] == [0, 0, 0]


def test_a_dicom_knows_its_spacing_and_a_picture_takes_the_given_one(outcome, view):
    _, folder = outcome
    assert read(folder, "dicom")["spacing_mm"] == pytest.approx(view.spacing_mm)
    assert read(folder, "scan")["spacing_mm"] == pytest.approx(0.05)


def test_single_calcifications_are_outlined_and_measured_on_request(outcome, view):
    _, folder = outcome
    assert all("calcifications" not in finding for finding in read(folder, "dicom")["findings"])
    arguments = ["prelabel", str(folder / "dicom.dcm"), "--out", str(folder / "fine"), "--calcifications"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--model", "starter"])
    assert end.value.code == 0
    (truth,) = view.truth
    finding = max(
        json.loads((folder / "fine" / "dicom.json").read_text())["findings"],
        key=lambda each: Box(*each["box"]).iou(truth.box),
    )
    found = finding["calcifications"]
    near = dilated(Box(*finding["box"]))
    assert len(found) >= 3
    assert [each["area_pixels"] for each in found] == sorted((e["area_pixels"] for e in found), reverse=True)
    for each in found:
        box = Box(*each["box"])
        assert near.intersection(box) == box
        assert each["area_mm2"] == pytest.approx(each["area_pixels"] * view.spacing_mm**2, rel=0.01, abs=1e-4)
        assert each["longest_mm"] >= view.spacing_mm
    right = [any(m.frame.intersection(Box(*each["box"])) for m in view.calcifications) for each in found]
    assert np.mean(right) > 0.5
    fine, coarse = (cv2.imread(str(folder / name / "dicom.overlay.png")) for name in ("fine", "out"))
    assert (fine != coarse).any()


def test_the_overlay_has_the_geometry_of_the_mammogram(outcome, view):
    _, folder = outcome
    overlay = cv2.imread(str(folder / "out" / "dicom.overlay.png"))
    assert overlay.shape == (view.size.height, view.size.width, 3)


def test_one_clear_line_per_unreadable_file(tmp_path, capfd):
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    with pytest.raises(SystemExit):
        main(["prelabel", str(tmp_path / "broken.dcm"), "--out", str(tmp_path / "out"), "--model", "starter"])
    lines = [line for line in capfd.readouterr().err.splitlines() if "broken.dcm" in line]
    assert len(lines) == 1
    assert "Traceback" not in lines[0]


def test_an_unknown_model_is_one_line_and_exit_code_one(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as end:
        main(["prelabel", "x.png", "--out", str(tmp_path), "--model", "m0009-deadbeef"])
    assert end.value.code == 1
    assert "--model starter" in capfd.readouterr().err


def test_a_finding_is_written_in_original_pixels():
    mask = Mask(np.ones((3, 4), np.bool_), 10, 20)
    finding = Finding(
        label=CLUSTER, score=0.51239, box=Box(9, 19, 15, 24), prompts=(Point(11, 21),), mask=mask
    )
    spacing = Spacing(0.07, 0.07, "imager")
    report = describe(Path("a.dcm"), "m1", spacing=spacing, found=one(finding), size=Size(64, 48), error=None)
    (written,) = report["findings"]
    assert written["box"] == [9, 19, 15, 24]
    assert written["prompts"] == [[11, 21]]
    assert written["mask"]["size"] == [48, 64]
    assert np.array_equal(Mask.from_coco(written["mask"]).full(Size(64, 48)), mask.full(Size(64, 48)))
    assert [10, 20] in written["polygon"]
    assert (written["area_pixels"], written["area_mm2"]) == (12, round(12 * 0.07**2, 4))
    assert written["longest_mm"] == 0.35
    json.dumps(report)


def test_output_names_never_collide():
    names = distinct_names(
        [Path("a/x.dcm"), Path("b/x.png"), Path("c/x.dcm"), Path("d/x.png"), Path("e/x.png")]
    )
    assert names[0] == "x"
    assert len(set(names)) == 5


def test_areas_and_lengths_on_pixels_that_are_not_square_are_right():
    """1 mm across, 0.1 mm down: 4 x 3 pixels are 1.2 mm2, and the mean spacing would say 3.63."""
    mask = Mask(np.ones((3, 4), np.bool_), 10, 20)
    finding = Finding(label=CLUSTER, score=0.5, box=mask.frame, mask=mask)
    spacing = Spacing(0.1, 1.0, "imager")
    report = describe(Path("a.dcm"), "m1", spacing=spacing, found=one(finding), size=Size(64, 48), error=None)
    (written,) = report["findings"]
    assert written["area_mm2"] == pytest.approx(1.2)
    assert written["longest_mm"] == pytest.approx(np.hypot(4.0, 0.3), abs=1e-4)
    assert (report["spacing_mm"], report["spacing_row_column_mm"]) == (0.55, [0.1, 1.0])


def test_a_finding_is_measured_as_its_calcifications_are(view, tmp_path):
    file = tmp_path / "film.dcm"
    write_mammogram(
        file, view.stored, laterality="L", view="CC", spacing_mm=view.spacing_mm, bits=view.bits, patient_id="P1"
    )  # fmt: skip
    dataset = pydicom.dcmread(file)
    row, column = 1.2 * view.spacing_mm, 0.8 * view.spacing_mm
    dataset.ImagerPixelSpacing = [row, column]
    dataset.save_as(file)
    with pytest.raises(SystemExit) as end:
        main(["prelabel", str(file), "--out", str(tmp_path), "--model", "starter", "--calcifications"])
    assert end.value.code == 0
    findings = json.loads((tmp_path / "film.json").read_text())["findings"]
    assert any(finding["area_pixels"] for finding in findings)
    assert any(finding["calcifications"] for finding in findings)
    for finding in findings:
        for each in ([finding] if finding["area_pixels"] else []) + finding["calcifications"]:
            assert each["area_mm2"] == pytest.approx(each["area_pixels"] * row * column, rel=0.01, abs=1e-4)


def test_files_with_odd_names_are_done_and_one_that_is_no_text_is_refused(tmp_path, capfd):
    picture = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    content = cv2.imencode(".png", picture)[1].tobytes()
    odd = {"line\nbreak.png", "\u202egnp.png", "x" * 251 + ".png", "tab\t.png", "Müller.png"}
    names = [*odd, os.fsdecode(b"rechts_\xfcber.png")]
    for name in names:
        (tmp_path / name).write_bytes(content)
    files = [str(tmp_path / name) for name in names]
    with pytest.raises(SystemExit) as end:
        main(["prelabel", *files, "--out", str(tmp_path / "out"), "--model", "starter"])
    assert end.value.code == 2
    reports = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")]
    assert {Path(each["file"]).name for each in reports if not each["error"]} == odd
    (refused,) = [each for each in reports if each["error"]]
    assert refused["file"].endswith(r"rechts_\xfcber.png")
    assert len(list((tmp_path / "out").glob("*.overlay.png"))) == len(odd)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "UTF-8" in line]
    assert r"rechts_\xfcber.png" in line


def test_a_report_that_cannot_be_written_is_said_and_the_others_are_done(tmp_path, capfd):
    content = cv2.imencode(".png", np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1)))[1].tobytes()
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "out" / "a.json").mkdir(parents=True)
    files = [str(tmp_path / name) for name in ("a.png", "b.png")]
    with pytest.raises(SystemExit) as end:
        main(["prelabel", *files, "--out", str(tmp_path / "out"), "--model", "starter"])
    assert end.value.code == 2
    assert "its report cannot be written" in capfd.readouterr().err
    assert (tmp_path / "out" / "b.json").is_file()


@pytest.fixture(scope="module")
def of_a_folder(view, tmp_path_factory):
    """One run over a folder with three images, one of them 58 cm wide, and what else lies beside them."""
    folder = tmp_path_factory.mktemp("folders")
    images = folder / "images"
    (images / "deeper").mkdir(parents=True)
    grey = (view.stored >> (view.bits - 8)).astype(np.uint8)
    assert cv2.imwrite(str(images / "scan.png"), grey)
    assert cv2.imwrite(str(images / "deeper/scan.png"), grey)
    write_mammogram(
        images / "wide.dcm", view.stored, laterality="L", view="CC", spacing_mm=0.9, bits=view.bits, patient_id="P1"
    )  # fmt: skip
    (images / "coco.json").write_text('{"images": []}')
    (images / "broken.dcm").write_bytes(b"\0" * 200)
    (images / "results").mkdir()
    (images / "results/older.overlay.png").write_bytes((images / "scan.png").read_bytes())
    arguments = ["--out", str(images / "results"), "--csv", str(folder / "all.csv"), "--model", "starter"]
    result = CliRunner().invoke(app, ["prelabel", str(images), *arguments])
    return result, folder


def test_a_folder_is_prelabelled_without_its_results_and_other_files(of_a_folder):
    result, folder = of_a_folder
    names = {path.name for path in (folder / "images/results").glob("*.json")}
    assert names == {"scan.json", "scan.png.json", "wide.json", "broken.json"}
    assert "3 files prelabelled" in result.stdout
    assert "1 files failed, 1 other files left out" in result.stdout
    assert result.exit_code == 2, "a damaged image is no other file"


def test_loading_the_model_is_said_before_the_first_file(of_a_folder):
    result, _ = of_a_folder
    said = result.stderr
    assert 0 <= said.index("loading the model starter") < said.index("Prelabelling: 0 of 5")


def test_an_impossible_spacing_and_none_are_said(of_a_folder):
    result, _ = of_a_folder
    assert "wide.dcm: warning: with its pixel spacing of 0.9 mm the image is 57.6 cm wide" in result.stderr
    assert "scan.png: warning: its pixel spacing is unknown" in result.stderr
    assert "the pixel spacing of 3 files is unknown or impossible" in result.stdout


def test_the_table_has_every_finding_and_every_file(of_a_folder):
    _, folder = of_a_folder
    with (folder / "all.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {Path(row["file"]).name for row in rows} == {"scan.png", "wide.dcm", "broken.dcm"}
    for report in map(json.loads, (path.read_text() for path in (folder / "images/results").glob("*.json"))):
        own = [row for row in rows if row["file"] == report["file"]]
        boxes = [str(each["box"][0]) for each in report["findings"]]
        assert [row["x0"] for row in own if row["finding"]] == boxes
        assert all(row["error"] == (report["error"] or "") for row in own)


def test_empty_folders_are_refused_before_a_model_is_loaded(tmp_path):
    result = CliRunner().invoke(app, ["prelabel", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "no files in these folders" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("width", "height", "mm", "warns"),
    [(2560, 3328, 0.07, False), (4800, 6000, 0.05, False), (8285, 3328, 0.07, True), (2560, 3328, 0.01, True),
     (200, 300, 0.05, False)],
)  # fmt: skip
def test_a_spacing_is_impossible_where_no_detector_is_that_large_or_small(width, height, mm, warns):
    assert bool(spacing_warning(Size(width, height), Spacing(mm, mm, "PixelSpacing"))) == warns
