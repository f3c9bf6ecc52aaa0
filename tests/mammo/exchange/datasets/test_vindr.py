from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mammo.errors import MammoError
from tests.mammo.exchange.datasets.miniatures import digital
from tests.mammo.exchange.datasets.reading import findings_of, read, summary

HEADER = [
    "study_id", "series_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads",
    "breast_density", "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax", "split",
]  # fmt: skip


def row(
    study: str = "s1", image: str = "i1", box: tuple[object, ...] = ("", "", "", ""), **more: str
) -> dict[str, object]:
    return {
        "study_id": study, "series_id": "x", "image_id": image, "laterality": "L", "view_position": "MLO",
        "height": "48", "width": "32", "finding_categories": "['No Finding']", "split": "training",
    } | dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) | more  # fmt: skip


def vindr(folder: Path, *rows: dict[str, object]) -> Path:
    with (folder / "finding_annotations.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    for seed, (study, image) in enumerate((("s1", "i1"), ("s1", "i2"), ("s2", "i3"))):
        digital(folder / "images" / study / f"{image}.dicom", seed)
    return folder


CALC = "['Suspicious Calcification', 'Mass']"


def test_boxes_of_suspicious_calcifications_come_in_and_others_are_counted(tmp_path: Path) -> None:
    vindr(
        tmp_path,
        row(box=(3.2, 4.0, 10.9, 12.5), finding_categories=CALC),
        row(box=(1, 1, 5, 5), finding_categories="['Mass']"),
        row(image="i2"),
        row("s2", "i3"),
    )
    images, refusals = read("vindr", tmp_path)
    assert not refusals
    assert [(image.patient, image.laterality, image.view) for image in images[:1]] == [("s1", "L", "MLO")]
    (finding,) = findings_of(images[0])
    assert (finding.box.as_tuple(), finding.mask) == ((3, 4, 11, 13), None)
    result = summary("vindr", tmp_path)
    assert (result.images, result.clusters, result.masks, result.without, result.patients) == (
        3,
        1,
        0,
        2,
        {"s1", "s2"},
    )
    assert result.classes == {"Suspicious Calcification": 1, "Mass": 2, "No Finding": 2}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("../../etc", "i1"), "letters and digits"),
        (row("s9", "i9"), "not in the folder"),
        (row("..", ".."), "leaves the folder"),
        (row(box=("x", 1, 2, 3), finding_categories=CALC), "is not a number"),
        (row(box=("", "", "", ""), finding_categories=CALC), "is not a number"),
        (row(box=(9, 9, 3, 3), finding_categories=CALC), "has no area"),
        (row(box=(90, 90, 99, 99), finding_categories=CALC), "outside"),
        (row(height="480"), "another size"),
    ],
)
def test_a_hostile_row_is_refused_with_its_line(tmp_path: Path, bad: dict[str, object], reason: str) -> None:
    result = summary("vindr", vindr(tmp_path, bad, row("s2", "i3")))
    assert result.images == 1
    (refusal,) = result.refusals
    assert refusal.where == "finding_annotations.csv, line 2"
    assert reason in refusal.reason


def test_categories_are_read_and_never_evaluated(tmp_path: Path) -> None:
    vindr(
        tmp_path,
        row(finding_categories="__import__('os').system('touch x')"),
        row("s2", "i3", finding_categories="[" * 900),
    )
    result = summary("vindr", tmp_path)
    assert result.images == 0
    assert all("to be a list of names" in refusal.reason for refusal in result.refusals)
    assert not (tmp_path / "x").exists()


def test_another_folder_is_recognised_as_such(tmp_path: Path) -> None:
    with pytest.raises(MammoError, match=r"finding_annotations\.csv"):
        read("vindr", tmp_path)


BOX = (3, 4, 10, 12)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row(box=BOX, finding_categories=CALC), row()], "has the category No Finding"),
        (
            [row(box=BOX, finding_categories=CALC), row(box=BOX, finding_categories=CALC)],
            "one of its rows is repeated",
        ),
        ([row(box=BOX, finding_categories=CALC), row(box=BOX, height="47")], "different values of height"),
        ([row(finding_categories="")], "to be a list of names"),
        ([row(finding_categories="Suspicious Calcification")], "to be a list of names"),
        ([row(finding_categories="['suspicious calcification']")], "may or may not be"),
        ([row(finding_categories="['Calcification']")], "may or may not be"),
        ([row(laterality="B")], "the laterality L, R"),
        ([row(view_position="front")], "of the views CC"),
        ([row(), row("s2", "i1")], "two studies"),
    ],
)
def test_rows_that_contradict_each_other_or_cannot_be_read_keep_their_image_out(
    tmp_path: Path, rows: list[dict[str, object]], reason: str
) -> None:
    result = summary("vindr", vindr(tmp_path, *rows))
    assert result.images == 0
    assert reason in result.refusals[0].reason


def test_two_boxes_of_one_image_are_two_clusters(tmp_path: Path) -> None:
    rows = [row(box=BOX, finding_categories=CALC), row(box=(20, 30, 25, 36), finding_categories=CALC)]
    assert summary("vindr", vindr(tmp_path, *rows)).clusters == 2


def test_an_image_under_another_case_of_its_name_or_twice_is_refused(tmp_path: Path) -> None:
    vindr(tmp_path, row(), row("s2", "I3"))
    digital(tmp_path / "images" / "s1" / "i1.dcm", 9)
    reasons = [refusal.reason for refusal in summary("vindr", tmp_path).refusals]
    assert "several files" in reasons[0]
    assert "another case" in reasons[1]
