from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.export.formats import write_coco
from mammo.errors import InvalidSettings, MammoError
from tests.cli.datasets.miniatures import digital
from tests.cli.datasets.reading import PATTERN, findings_of, read, summary
from tests.cli.export.labelled_images import BOX_ONLY, SIZE, labelled, ring

RLE = {"size": [48, 32], "counts": [48 * 3 + 4, 5, 48 * 29 - 9]}


def document(**more: Any) -> dict[str, Any]:
    return {
        "images": [
            {
                "id": 1,
                "file_name": "p1_lcc.dcm",
                "width": 32,
                "height": 48,
                "laterality": "LEFT",
                "view": "CC",
            },
            {"id": 2, "file_name": "p2_rcc.dcm", "width": 32, "height": 48, "patient": "someone"},
        ],
        "categories": [{"id": 5, "name": "Mass"}, {"id": 9, "name": "Microcalcification cluster"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 9, "segmentation": RLE, "bbox": [3, 4, 1, 5]},
            {"id": 2, "image_id": 1, "category_id": 9, "segmentation": [[10, 20, 14, 20, 14, 26, 10, 26]]},
            {"id": 3, "image_id": 1, "category_id": 9, "segmentation": [], "bbox": [20, 30, 5, 6]},
            {"id": 4, "image_id": 1, "category_id": 5, "segmentation": [], "bbox": [1, 1, 2, 2]},
        ],
    } | more


def coco(folder: Path, content: dict[str, Any] | None = None) -> Path:
    (folder / "annotations.json").write_text(json.dumps(document() if content is None else content))
    digital(folder / "p1_lcc.dcm", 1)
    digital(folder / "images" / "p2_rcc.dcm", 2)
    return folder


def test_run_lengths_polygons_and_boxes_come_in(tmp_path: Path) -> None:
    images, refusals = read("coco", coco(tmp_path), patient_pattern=PATTERN)
    assert not refusals
    assert [(image.patient, image.laterality, image.view) for image in images] == [
        ("p1", "L", "CC"), ("someone", None, None),
    ]  # fmt: skip
    runs, polygon, box = findings_of(images[0])
    assert runs.box.as_tuple() == (3, 4, 4, 9)
    assert polygon.box.as_tuple() == (10, 20, 14, 26)
    assert polygon.mask is not None
    assert polygon.mask.area == 24
    assert (box.box.as_tuple(), box.mask) == ((20, 30, 25, 36), None)
    found = summary("coco", tmp_path)
    assert (found.images, found.clusters, found.masks, found.without) == (2, 3, 2, 1)
    assert found.classes == {"Microcalcification cluster": 3, "Mass": 1}


@pytest.mark.parametrize("name", ["coco.json", "coco-polygons.json"])
def test_what_we_export_comes_back(tmp_path: Path, name: str) -> None:
    solid = ring(3, 4)
    assert solid.mask is not None
    solid.mask.bitmap[2, 2] = True  # polygons know no holes
    write_coco([labelled("p1_lcc", solid, BOX_ONLY)], tmp_path)
    for other in tmp_path.glob("*.json"):
        if other.name != name:
            other.unlink()
    digital(tmp_path / "p1_lcc.dcm", 1)
    (image,), refusals = read("coco", tmp_path)
    assert not refusals
    first, second = findings_of(image)
    assert first.mask is not None
    np.testing.assert_array_equal(first.mask.full(SIZE), solid.mask.full(SIZE))
    assert (second.box, second.mask) == (BOX_ONLY.box, None)


def test_another_category_is_named_by_a_label(tmp_path: Path) -> None:
    coco(tmp_path)
    assert summary("coco", tmp_path, label="Mass").clusters == 1
    with pytest.raises(MammoError, match="there are: Mass, Micro"):
        summary("coco", tmp_path, label="Cyst")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segmentation": {"size": [48, 32], "counts": [10**9]}}, "do not add up"),
        ({"segmentation": {"size": [48, 32], "counts": "o" * 2000}}, "none of theirs"),
        ({"segmentation": {"size": [48, 32], "counts": "oo"}}, "within a number"),
        ({"segmentation": [[1, 2, 3, 4]]}, "three pairs"),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, "something else than coordinates"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e300]]}, "something else than coordinates"),
        ({"segmentation": [[90, 90, 95, 90, 95, 95]]}, "outside the image"),
        ({"segmentation": []}, "neither a mask nor a box"),
        ({"segmentation": [], "bbox": [1, 2, 3]}, "neither a mask nor a box"),
        ({"segmentation": [], "bbox": [1, 2, 1e300, 3]}, "neither a mask nor a box"),
        ({"category_id": 77}, "one of its annotations cannot be read"),
        ({"category_id": "x" * 999}, "one of its annotations cannot be read"),
    ],
)
def test_a_hostile_annotation_keeps_its_image_out_and_no_other(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    content = document()
    content["annotations"] = [{"id": 1, "image_id": 1, "category_id": 9} | change]
    found = summary("coco", coco(tmp_path, content))
    assert found.images == 1
    assert found.patients == {"someone"}
    assert any(reason in refusal.reason and "images 0" in refusal.where for refusal in found.refusals)


def test_an_annotation_of_no_image_is_told(tmp_path: Path) -> None:
    content = document()
    content["annotations"][3]["image_id"] = 77
    found = summary("coco", coco(tmp_path, content))
    assert found.images == 2
    assert [refusal.reason for refusal in found.refusals] == ["1 annotations belong to no image"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"file_name": "../secret.dcm"}, "leaves the folder"),
        ({"file_name": "/etc/passwd"}, "leaves the folder"),
        ({"file_name": "gone_x.dcm"}, "not in the folder"),
        ({"width": 99}, "another size"),
        ({"width": -1}, "width"),
        ({"id": None}, "id"),
    ],
)
def test_a_hostile_image_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    content = document(annotations=[])
    content["images"][0] |= change
    found = summary("coco", coco(tmp_path, content))
    assert found.images == 1
    (refusal,) = found.refusals
    assert refusal.where == "annotations.json, images 0"
    assert reason in refusal.reason


def test_an_image_without_a_patient_is_refused_unless_a_pattern_finds_one(tmp_path: Path) -> None:
    content = document(annotations=[])
    content["images"] = [{"id": 1, "file_name": "lcc.dcm", "width": 32, "height": 48}]
    coco(tmp_path, content)
    digital(tmp_path / "lcc.dcm", 4)
    assert "--patient-pattern" in summary("coco", tmp_path).refusals[0].reason
    assert summary("coco", tmp_path, patient_pattern=r"^(\w+)\.").patients == {"lcc"}
    for pattern in ("(", "x", "(a)(b)"):
        with pytest.raises(InvalidSettings, match="--patient-pattern"):
            summary("coco", tmp_path, patient_pattern=pattern)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b'{"categories": 3}'])
def test_what_is_no_coco_file_is_recognised(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(MammoError, match=r"x\.json"):
        read("coco", tmp_path)
