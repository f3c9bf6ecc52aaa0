from __future__ import annotations

from pathlib import Path

import pydicom

from mammo.dicom.reports.reading import read_report
from mammo.exchange.export.dicom_results import result, subjects
from mammo.exchange.export.formats import write_cad_sr, write_sr
from mammo.exchange.export.labelled_image import Refusal
from tests.mammo.dicom.files import mammogram_file
from tests.mammo.dicom.reports.documents import instance
from tests.mammo.exchange.export.labelled_images import BOX_ONLY, SIZE, labelled, ring


def test_a_report_holds_boxes_and_says_that_nothing_was_found(tmp_path: Path) -> None:
    source = mammogram_file()
    images = [
        labelled("a", ring(3, 4), BOX_ONLY, source=source, num_calcifications=(12, None)),
        labelled("empty", source=source),
        labelled("gone", ring(3, 4)),
        labelled("plain", ring(3, 4), source=b"\x89PNG\r\n\x1a\n"),
    ]
    refusals = write_sr(images, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sr.dcm", "empty.sr.dcm"]
    found = read_report(tmp_path / "a.sr.dcm", image=instance(source), size=SIZE).findings
    assert [each.finding.box for each in found] == [ring(3, 4).box, BOX_ONLY.box]
    assert [each.num_calcifications for each in found] == [12, None]
    assert read_report(tmp_path / "empty.sr.dcm", image=instance(source), size=SIZE).findings == ()
    assert [refusal.where for refusal in refusals] == ["gone", "plain"]


def test_a_cad_report_holds_the_images_of_a_study(tmp_path: Path) -> None:
    studies = {"1.2.3": ("CC", "MLO"), "1.2.4": ("CC",)}
    images = [
        labelled(f"{study}-{view}", ring(3, 4), source=mammogram_file(view=view, study_uid=study))
        for view in ("CC", "MLO")
        for study, views in studies.items()
        if view in views
    ]
    assert write_cad_sr(images, tmp_path) == []
    files = {path.name: pydicom.dcmread(path) for path in tmp_path.iterdir()}
    assert {name: str(each.StudyInstanceUID) for name, each in files.items()} == {
        "1.2.3-CC.cad-sr.dcm": "1.2.3",
        "1.2.4-CC.cad-sr.dcm": "1.2.4",
    }


def test_what_a_result_says_is_equal_until_it_says_something_else() -> None:
    source = mammogram_file()
    said = [
        labelled("a", ring(3, 4), source=source),
        labelled("b", ring(3, 4), source=source),
        labelled("a", ring(4, 4), source=source),
        labelled("a", ring(3, 4), source=source, num_calcifications=(3,)),
        labelled("a", source=source),
    ]
    refusals: list[Refusal] = []
    contents = [subject.content for subject in subjects(said, "sr", refusals)]
    assert refusals == []
    assert contents[0] == contents[1]
    assert len(set(contents)) == 4


def test_a_segmentation_of_a_box_is_no_file() -> None:
    (subject,) = subjects([labelled("a", BOX_ONLY, source=mammogram_file())], "seg", [])
    data, refusals = result(subject, "seg")
    assert data is None
    assert "a box only" in str(refusals[0])
