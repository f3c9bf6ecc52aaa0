from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.errors import MammoError
from mammo.exchange.export.formats import write_yolo
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from tests.mammo.exchange.datasets.miniatures import grey_image, write
from tests.mammo.exchange.datasets.reading import PATTERN, findings_of, read, summary
from tests.mammo.exchange.export.labelled_images import BOX_ONLY, labelled, ring


def picture(path: Path, seed: int) -> None:
    pixels = np.tile(np.arange(32, dtype=np.uint8) * 5, (48, 1))
    pixels[0, 0] = seed
    grey_image(path, pixels)


def yolo(folder: Path, text: str, *, names: str = "Cluster\nMass\n") -> Path:
    """One woman with the labels, and another one without any."""
    write(folder / "classes.txt", names)
    for seed, (name, labels) in enumerate((("p1_a", text), ("p2_b", ""))):
        picture(folder / "images" / f"{name}.png", seed)
        write(folder / "labels" / f"{name}.txt", labels)
    return folder


def test_boxes_and_outlines_come_in_and_other_classes_are_counted(tmp_path: Path) -> None:
    text = "0 0.25 0.25 0.25 0.25\n0 0.5 0.5 0.75 0.5 0.75 0.75 0.5 0.75\n1 0.5 0.5 0.1 0.1\n"
    images, refusals = read("yolo", yolo(tmp_path, text), patient_pattern=PATTERN)
    assert not refusals
    box, outline = findings_of(images[0])
    assert (box.box.as_tuple(), box.mask) == ((4, 6, 12, 18), None)
    assert outline.box.as_tuple() == (16, 24, 24, 36)
    assert outline.mask is not None
    result = summary("yolo", tmp_path, patient_pattern=PATTERN)
    assert (result.images, result.clusters, result.masks, result.without) == (2, 2, 1, 1)
    assert result.classes == {"Cluster": 2, "Mass": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2 0.5 0.5 0.1 0.1", "the class has no name"),
        ("x 0.5 0.5 0.1 0.1", "the class has no name"),
        ("0 0.5 0.5 0.1", "expected class x y width height"),
        ("0", "expected class x y width height"),
        ("0 0.5 0.5 0.1 x", "is not a number"),
        ("0 0.5 0.5 0.1 nan", "relative to the image, in"),
        ("0 120 240 30 40", "relative to the image, in"),
        ("0 0.5 0.5 0 0.1", "has no area"),
        ("0 0.5 0.5 -0.1 0.1", "has no area"),
        ("0 1.5 1.5 0.1 0.1", "outside"),
        ("0 1.5 1.5 1.6 1.5 1.6 1.6", "lies outside the image"),
        ("0 0.5 0.5 0.1 0.1 0.4 0.4 2 0.6 0.6 1", "it is unclear whether the line is an outline"),
    ],
)
def test_a_line_that_is_neither_a_box_nor_an_outline_keeps_its_image_out(
    tmp_path: Path, text: str, reason: str
) -> None:
    result = summary("yolo", yolo(tmp_path, f"0 0.25 0.25 0.25 0.25\n{text}\n"), patient_pattern=PATTERN)
    assert (result.images, result.clusters) == (1, 0)
    assert reason in result.refusals[0].reason


@pytest.mark.parametrize(
    "names",
    [
        "names:\n  0: Cluster\n  1: Mass\n",
        "nc: 2\nnames: ['Cluster', 'Mass']\n",
        "names: [\n  Cluster,\n  Mass]\nnc: 2\n",
    ],
)
def test_the_numbers_names_may_stand_in_data_yaml(tmp_path: Path, names: str) -> None:
    yolo(tmp_path, "1 0.25 0.25 0.25 0.25\n0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "classes.txt").unlink()
    write(tmp_path / "data.yaml", names)
    result = summary("yolo", tmp_path, patient_pattern=PATTERN)
    assert (result.clusters, result.classes) == (1, {"Cluster": 1, "Mass": 1})


def test_what_is_no_such_folder_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(MammoError, match="folder labels"):
        read("yolo", tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(MammoError, match=r"data\.yaml"):
        read("yolo", tmp_path)
    write(tmp_path / "data.yaml", "names:\n  0: Cluster\n  00: Mass\n")
    with pytest.raises(MammoError, match="one name"):
        read("yolo", tmp_path)


def test_labels_of_no_image_or_of_two_are_refused(tmp_path: Path) -> None:
    yolo(tmp_path, "")
    picture(tmp_path / "images" / "p1_a.pgm", 5)
    (tmp_path / "images" / "p2_b.png").unlink()
    reasons = [refusal.reason for refusal in summary("yolo", tmp_path, patient_pattern=PATTERN).refusals]
    assert "several images" in reasons[0]
    assert "no image in images has its name" in reasons[1]


def test_an_image_without_a_file_of_labels_is_told_and_is_no_example_of_none(tmp_path: Path) -> None:
    yolo(tmp_path, "")
    picture(tmp_path / "images" / "p3_c.png", 3)
    result = summary("yolo", tmp_path, patient_pattern=PATTERN)
    assert (result.images, result.without) == (2, 2)
    assert [refusal.where for refusal in result.refusals] == ["images/p3_c.png"]


def test_our_own_export_knows_its_images_and_patients(tmp_path: Path) -> None:
    for seed, path in enumerate(("a/x.png", "b/x.png")):
        picture(tmp_path / "images" / path, seed)
    images = [
        labelled(
            "one", BOX_ONLY, file_name="a/x.png", facts={"patient": "key-1", "spacing_mm": [0.07, 0.07]}
        ),
        labelled("two", ring(3, 4), file_name="b/x.png", facts={"patient": "key-2"}),
    ]
    assert write_yolo(images, tmp_path) == []
    first, second = read("yolo", tmp_path)[0]
    assert (first.patient, second.patient, first.spacing_mm) == ("key-1", "key-2", (0.07, 0.07))
    assert [finding.box for finding in findings_of(first)] == [BOX_ONLY.box]
    rows = json.loads((tmp_path / "images.json").read_bytes())
    rows["images"].append(rows["images"][0])
    write(tmp_path / "images.json", json.dumps(rows))
    with pytest.raises(MammoError, match="twice"):
        read("yolo", tmp_path)


BOXES = st.tuples(st.integers(0, 31), st.integers(0, 47), st.integers(1, 32), st.integers(1, 48))


@given(st.lists(BOXES, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_box_comes_back_from_our_export(tmp_path: Path, drawn: list[tuple[int, int, int, int]]) -> None:
    boxes = [Box(x, y, min(x + width, 32), min(y + height, 48)) for x, y, width, height in drawn]
    picture(tmp_path / "images" / "p1_a.png", 0)
    findings = [Finding(label=CLUSTER, score=1.0, box=box) for box in boxes]
    write_yolo([labelled("p1_a", *findings, file_name="p1_a.png")], tmp_path)
    (image,), refusals = read("yolo", tmp_path)
    assert not refusals
    assert [finding.box for finding in findings_of(image)] == boxes
