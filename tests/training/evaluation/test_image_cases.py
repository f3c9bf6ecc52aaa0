from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo.dicom import Mammogram
from mammo.errors import InsufficientData, InvalidSettings
from mammo.geometry import Spacing
from tests.mammo.dicom.exif import FILES
from tests.mammo.exchange.datasets.miniatures import digital
from tests.training.image_files import (
    FILM_MM,
    view,
    write_coco_positives,
    write_mias_positives,
    write_normals,
)
from training.cases import silent
from training.evaluation.image_cases import EvaluationSet, ImageSource, breast_area, read_evaluation_set
from training.evaluation.patient_grouping import PatientGrouping


def read(
    *,
    normals: Path | None = None,
    positives: Path | None = None,
    spacing_mm: float | None = 0.07,
    patients: str = "file",
    label: str | None = None,
) -> EvaluationSet:
    source = ImageSource(
        normals=normals,
        positives=positives,
        spacing_mm=spacing_mm,
        patients=PatientGrouping.parse(patients),
        label=label,
    )
    return read_evaluation_set(source, progress=silent)


def reasons(evaluated: EvaluationSet) -> dict[str, str]:
    return {each.where: each.reason for each in evaluated.left_out}


def test_normals_have_no_truth_and_positives_that_of_the_coco_file(tmp_path: Path) -> None:
    boxes = write_coco_positives(tmp_path / "positives", 1, 2)
    evaluated = read(normals=write_normals(tmp_path / "normals", 3), positives=tmp_path / "positives")
    assert [image.name for image in evaluated.images] == ["normal_3.png", "1.png", "2.png"]
    assert [image.is_normal for image in evaluated.images] == [True, False, False]
    truth = {image.name: [each.box for each in image.case.truth] for image in evaluated.images}
    assert truth == {"normal_3.png": []} | boxes
    assert len({image.case.patient for image in evaluated.images}) == 3
    assert evaluated.images[1].case.read().sha256 == evaluated.images[1].case.image
    assert not evaluated.left_out


def test_a_coco_file_can_be_named_wherever_it_lies(tmp_path: Path) -> None:
    write_coco_positives(tmp_path, 1)
    (tmp_path / "annotations.json").rename(tmp_path / "second_reader.json")
    shutil.copy(tmp_path / "second_reader.json", tmp_path / "first_reader.json")
    assert len(read(positives=tmp_path / "second_reader.json").images) == 1
    with pytest.raises(InvalidSettings, match=r"annotations\.json and Info\.txt"):
        read(positives=tmp_path)


def test_the_circles_of_mini_mias_are_lesions_and_rows_without_a_place_are_left_out(tmp_path: Path) -> None:
    write_mias_positives(
        tmp_path, 11, 12, more="mdb013 G CALC B *NOTE 3*\nmdb014 G CIRC B 30 30 5\nmdb015 G NORM\n"
    )
    for number in (13, 14, 15):
        shutil.copy(tmp_path / "mdb011.pgm", tmp_path / f"mdb0{number}.pgm")
        with (tmp_path / f"mdb0{number}.pgm").open("ab") as file:
            file.write(bytes([number]))  # another SHA-256
    evaluated = read(positives=tmp_path / "Info.txt", spacing_mm=None)
    assert [(image.name, image.is_normal) for image in evaluated.images] == [
        ("mdb011.pgm", False), ("mdb012.pgm", False), ("mdb015.pgm", True),
    ]  # fmt: skip
    assert {image.spacing.mean_mm for image in evaluated.images} == {0.2}
    assert reasons(evaluated) == {
        "Info.txt, line 3": "the position of its calcifications is missing",
        "Info.txt, line 4": "it shows CIRC only, so it is neither a positive nor a normal",
    }
    patients = [image.case.patient for image in evaluated.images]
    assert patients == ["patient-0001", "patient-0001", "patient-0002"]  # 11 and 12 are one woman
    drawn, (lesion,) = view(11, clusters=1), evaluated.images[0].case.truth
    expected = [each * drawn.spacing_mm / FILM_MM for each in drawn.truth[0].box.centre]
    assert lesion.box.centre == pytest.approx(expected, abs=1.5)


def test_an_image_without_annotations_is_a_normal_and_one_with_other_lesions_is_not(tmp_path: Path) -> None:
    write_coco_positives(tmp_path, 1, 2, 3)
    document = json.loads((tmp_path / "annotations.json").read_text())
    document["categories"].append({"id": 2, "name": "Mass"})
    document["annotations"] = [
        each | ({"category_id": 2} if each["image_id"] == 2 else {})
        for each in document["annotations"]
        if each["image_id"] != 3
    ]
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    evaluated = read(positives=tmp_path)
    assert {image.name: image.is_normal for image in evaluated.images} == {"1.png": False, "3.png": True}
    assert "shows Mass only" in next(iter(reasons(evaluated).values()))


def test_a_rate_is_per_normal_image_where_normals_are_given(tmp_path: Path) -> None:
    write_coco_positives(tmp_path / "positives", 1)
    normals = write_normals(tmp_path / "normals", 3)
    assert read(normals=normals, positives=tmp_path / "positives").on_normals
    assert read(normals=normals).on_normals
    assert not read(positives=tmp_path / "positives").on_normals


def test_without_a_spacing_nothing_is_measured(tmp_path: Path) -> None:
    normals = write_normals(tmp_path, 3, 4)
    with pytest.raises(InvalidSettings, match=r"2 images .* for example normal_3\.png; .* --spacing MM"):
        read(normals=normals, spacing_mm=None)
    write_coco_positives(tmp_path / "stated", 1, spacing_mm=0.1)
    (image,) = read(positives=tmp_path / "stated", spacing_mm=0.07).images
    assert image.spacing.mean_mm == 0.1  # what the data set states counts


def test_a_dicom_file_states_spacing_and_patient(tmp_path: Path) -> None:
    for number, patient in enumerate(("A", "A", "B")):
        digital(tmp_path / f"{number}.dcm", number + 1, patient_id=patient)
    (tmp_path / "2.dcm").rename(tmp_path / "archived")  # archives write no suffix
    (tmp_path / "notes").write_text("no image")
    evaluated = read(normals=tmp_path, spacing_mm=None)
    assert [(image.name, image.case.patient) for image in evaluated.images] == [
        ("0.dcm", "patient-0001"), ("1.dcm", "patient-0001"), ("archived", "patient-0002"),
    ]  # fmt: skip
    assert {image.spacing.source for image in evaluated.images} == {"imager"}
    assert not evaluated.left_out


def test_what_cannot_be_read_is_left_out_with_the_reason(tmp_path: Path) -> None:
    write_normals(tmp_path, 3)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    shutil.copy(tmp_path / "normal_3.png", tmp_path / "twice.png")
    evaluated = read(normals=tmp_path)
    assert len(evaluated.images) == 1
    assert "damaged" in reasons(evaluated)["broken.png"]
    assert reasons(evaluated)["twice.png"] == "it is the same image as normal_3.png"


def test_lesions_of_an_image_that_its_file_turns_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(FILES["JPEG 6"])
    row = {"id": 1, "file_name": "photo.jpg"}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9]}
    categories = [{"id": 1, "name": "Cluster"}]
    document = {"images": [row], "annotations": [box], "categories": categories}
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(InsufficientData, match="which way up"):
        read(positives=tmp_path)


def test_an_image_cannot_be_normal_and_positive(tmp_path: Path) -> None:
    write_coco_positives(tmp_path / "positives", 1)
    (tmp_path / "normals").mkdir()
    shutil.copy(tmp_path / "positives" / "1.png", tmp_path / "normals" / "again.png")
    with pytest.raises(InvalidSettings, match=r"again\.png and 1\.png are the same image"):
        read(normals=tmp_path / "normals", positives=tmp_path / "positives")


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="--normals FOLDER"):
        read()
    with pytest.raises(InsufficientData, match="check the paths"):
        read(normals=tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no image")
    write_coco_positives(tmp_path / "positives", 1)
    (tmp_path / "normals").mkdir()
    (tmp_path / "broken.png").rename(tmp_path / "normals" / "broken.png")
    with pytest.raises(InsufficientData, match=r"no normal image to measure on: broken\.png"):
        read(normals=tmp_path / "normals", positives=tmp_path / "positives")


def test_positives_without_any_lesion_are_no_positives(tmp_path: Path) -> None:
    write_coco_positives(tmp_path, 1)
    document = json.loads((tmp_path / "annotations.json").read_text())
    (tmp_path / "annotations.json").write_text(json.dumps(document | {"annotations": []}))
    with pytest.raises(InsufficientData, match="no image with a lesion"):
        read(positives=tmp_path)


def test_the_area_of_a_breast_is_in_square_centimetres_at_any_spacing() -> None:
    for spacing in (0.07, 0.2):
        pixels = np.zeros((round(100 / spacing), round(80 / spacing)), np.float32)
        radius = round(40 / spacing)
        cv2.circle(pixels, (0, len(pixels) // 2), radius, 0.5, -1)
        mammogram = Mammogram(
            pixels=pixels,
            spacing=Spacing(spacing, spacing, "given"),
            laterality=None,
            view=None,
            patient=None,
            sha256="",
            depth=8,
        )
        half_disc = np.pi * 4.0**2 / 2
        assert breast_area(mammogram) == pytest.approx(half_disc, rel=0.12)  # a rim of a cell of 1.1 mm
