from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mammo.errors import InvalidSettings, MammoError
from mammo.exchange.export.formats import write_coco
from tests.mammo.exchange.datasets.miniatures import digital
from tests.mammo.exchange.datasets.reading import PATTERN, findings_of, read, summary
from tests.mammo.exchange.export.labelled_images import BOX_ONLY, SIZE, labelled, ring

EMPTY = {"size": [48, 32], "counts": [48 * 32]}
SQUARE = [10, 20, 14, 20, 14, 26, 10, 26]
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
    result = summary("coco", tmp_path)
    assert (result.images, result.clusters, result.masks, result.without) == (2, 3, 2, 1)
    assert result.classes == {"Microcalcification cluster": 3, "Mass": 1}


def test_a_file_that_is_named_is_read_whatever_lies_beside_it(tmp_path: Path) -> None:
    coco(tmp_path, document(annotations=[]))
    (tmp_path / "ours.json").write_text(json.dumps(document()))
    images, _ = read("coco", tmp_path, document=tmp_path / "ours.json", patient_pattern=PATTERN)
    assert len(findings_of(images[0])) == 3


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


def test_words_that_we_export_come_back_and_other_words_are_left_out_aloud(tmp_path: Path) -> None:
    described = replace(ring(3, 4), morphology="milk of calcium", distribution="grouped", suspicion="2")
    image = labelled("p1_lcc", described)
    facts = {"density": "c", "assessment": "2"}
    write_coco([replace(image, attributes=(described.attributes,), facts=facts)], tmp_path)
    digital(tmp_path / "p1_lcc.dcm", 1)
    (back,), _ = read("coco", tmp_path)
    (finding,) = findings_of(back)
    assert (finding.descriptors, dict(back.words), back.unread_words) == (described.descriptors, facts, ())
    document = json.loads((tmp_path / "coco.json").read_text())
    said = {
        "morphology": "casting",
        "distribution": "Clustered",
        "suspicion": 3,
        "comment": "seen",
        "hidden": True,
    }
    document["annotations"][0]["attributes"] = said
    document["images"][0] |= {"density": "2", "assessment": None}
    (tmp_path / "coco.json").write_text(json.dumps(document))
    (tmp_path / "coco-polygons.json").unlink()
    (other,), _ = read("coco", tmp_path)
    (finding,) = findings_of(other)
    assert finding.descriptors == {"distribution": "grouped", "suspicion": "3"}
    assert (finding.comment, dict(other.words)) == ("seen", {})
    assert other.unread_words == ("density '2'", "morphology 'casting'")
    found = summary("coco", tmp_path)
    assert (found.words, found.lost_words, found.unread_words.total()) == (2, 3, 2), (
        "these tags have no controls"
    )


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (["amorphous"], "attributes that are no object"),
        ({"comment": ["DOE^JANE"]}, "a comment that is no text"),
        ({"comment": None, "morphology": None}, ""),
        ({}, ""),
    ],
)
def test_what_is_said_in_another_shape_is_listed_too(tmp_path: Path, attributes: Any, reason: str) -> None:
    content = document()
    content["annotations"][0]["attributes"] = attributes
    images, _ = read("coco", coco(tmp_path, content))
    assert [each for image in images for each in image.unread_words] == ([reason] if reason else [])


def test_another_category_is_named_by_a_label(tmp_path: Path) -> None:
    coco(tmp_path)
    assert summary("coco", tmp_path, label="Mass").clusters == 1
    with pytest.raises(MammoError, match="there are: Mass, Micro"):
        summary("coco", tmp_path, label="Cyst")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segmentation": {"size": [48, 32], "counts": [10**9]}}, "whose sum is"),
        ({"segmentation": {"size": [48, 32], "counts": "o" * 2000}}, "contain an invalid character"),
        ({"segmentation": {"size": [48, 32], "counts": "oo"}}, "within a number"),
        ({"segmentation": [[1, 2, 3, 4]]}, "three pairs"),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, "expected coordinates up to 1e6"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e300]]}, "expected coordinates up to 1e6"),
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
    result = summary("coco", coco(tmp_path, content))
    assert result.images == 1
    assert result.patients == {"someone"}
    assert any(reason in refusal.reason and "images 0" in refusal.where for refusal in result.refusals)


def test_an_annotation_of_no_image_is_told(tmp_path: Path) -> None:
    content = document()
    content["annotations"][3]["image_id"] = 77
    result = summary("coco", coco(tmp_path, content))
    assert result.images == 2
    assert [refusal.reason for refusal in result.refusals] == [
        "1 annotations have an image_id that no image has"
    ]


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
    result = summary("coco", coco(tmp_path, content))
    assert result.images == 1
    (refusal,) = result.refusals
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


def rows(*images: dict[str, Any], annotations: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    size = {"width": 32, "height": 48}
    cluster = {"category_id": 9, "segmentation": [], "bbox": [3, 4, 5, 6]}
    return {
        "images": [size | image for image in images],
        "categories": [{"id": 9, "name": "Cluster"}],
        "annotations": [cluster | annotation for annotation in annotations],
    }


P1 = {"id": 1, "file_name": "p1_lcc.dcm"}
P2 = {"id": 2, "file_name": "p2_rcc.dcm"}


@pytest.mark.parametrize(
    ("content", "reason", "left"),
    [
        (rows(P1, P2 | {"id": 1}), "2 images have the id 1", 0),
        (rows(P1, P2 | {"id": "1"}), "2 images have the id 1", 0),
        (rows(P1, P2 | {"id": 1.0}), "2 images have the id 1", 0),
        (rows(P1, P1 | {"id": 2}), "names the same file", 0),
        (rows(P1, {"id": 2, "file_name": "./p1_lcc.dcm"}), "names the same file", 0),
        (
            rows(P1, P2, annotations=({"id": 1, "image_id": 1}, {"id": 1, "image_id": 1})),
            "annotations have the id",
            1,
        ),
        (
            rows(P1, P2, annotations=({"id": 1, "image_id": 1}, {"id": 1, "image_id": 2})),
            "annotations have the id",
            0,
        ),
        (rows(P1, P2, annotations=({"id": 1, "image_id": 1, "category_id": 8},)), "cannot be read", 1),
        (rows(P1, P2, annotations=({"id": 1, "image_id": 1, "segmentation": "abc"},)), "cannot be read", 1),
        (rows(P1, P2, annotations=({"id": None, "image_id": 1},)), "cannot be read", 1),
        (rows(P1, P2, annotations=({"id": 1, "image_id": 1, "bbox": [3, 4, 0, 0]},)), "has no area", 1),
        (rows(P1, P2, annotations=({"id": 1, "image_id": 1, "bbox": [3, 4, 5, 0]},)), "has no area", 1),
        (rows(P1, P2, annotations=({"id": 1, "image_id": 1, "bbox": [3, 4, -5, 6]},)), "has no area", 1),
        (
            rows(P1, P2, annotations=({"id": 1, "image_id": 1, "bbox": None, "keypoints": [3, 4, 2]},)),
            "key points",
            1,
        ),
        (rows(P1, P2, annotations=({"id": 1, "image_id": 1, "segmentation": EMPTY},)), "has no set pixel", 1),
        (
            rows(
                P1,
                P2,
                annotations=({"id": 1, "image_id": 1, "segmentation": [SQUARE, [90, 90, 95, 90, 95, 95]]},),
            ),
            "lies outside the image",
            1,
        ),
        (rows(P1 | {"spacing_mm": "wide"}, P2), "spacing_mm: expected", 1),
        (rows(P1 | {"spacing_mm": 70}, P2), "spacing_mm: expected", 1),
        (rows(P1 | {"laterality": "both"}, P2), "the laterality L, R", 1),
        (rows(P1 | {"view": "oblique"}, P2), "of the views CC", 1),
        (rows(P1 | {"patient": ["x"]}, P2), "does not identify a patient", 1),
        (rows({"id": 1, "file_name": "P1_LCC.dcm"}, P2), "another case", 1),
    ],
)
def test_what_is_said_twice_or_cannot_be_read_keeps_its_images_out_with_a_reason(
    tmp_path: Path, content: dict[str, Any], reason: str, left: int
) -> None:
    digital(tmp_path / "p2_rcc.dcm", 2)
    digital(tmp_path / "p1_lcc.dcm", 1)
    (tmp_path / "coco.json").write_text(json.dumps(content))
    result = summary("coco", tmp_path, patient_pattern=PATTERN)
    assert result.images == left, result.refusals
    assert any(reason in refusal.reason for refusal in result.refusals), result.refusals
    assert all("one patient" not in refusal.reason for refusal in result.refusals)


@pytest.mark.parametrize(
    "text",
    [
        '{"images": [], "images": [], "annotations": [], "categories": []}',
        json.dumps(rows(P1)).replace('"file_name"', '"id": 3, "file_name"'),
    ],
)
def test_a_key_that_is_there_twice_in_one_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(MammoError, match="an object with two"):
        read("coco", tmp_path)


def test_two_categories_under_one_id_are_refused(tmp_path: Path) -> None:
    content = rows(P1) | {"categories": [{"id": 9, "name": "Cluster"}, {"id": 9, "name": "Mass"}]}
    with pytest.raises(MammoError, match="two categories"):
        read("coco", coco(tmp_path, content))


@pytest.mark.parametrize("compressed", [True, False])
def test_a_crowd_is_read_as_its_run_lengths(tmp_path: Path, compressed: bool) -> None:
    solid = ring(3, 4).mask
    assert solid is not None
    counts = np.asfortranarray(solid.full(SIZE))
    packed = coco_mask.encode(counts)
    runs = [len(list(group)) for _, group in itertools.groupby(counts.ravel(order="F"))]
    segmentation = {"size": [48, 32], "counts": packed["counts"].decode() if compressed else runs}
    crowd = {"id": 1, "image_id": 1, "segmentation": segmentation, "iscrowd": 1}
    (image,), refusals = read("coco", coco(tmp_path, rows(P1, annotations=(crowd,))))
    assert not refusals
    (finding,) = findings_of(image)
    assert finding.mask is not None
    np.testing.assert_array_equal(finding.mask.full(SIZE), solid.full(SIZE))


@pytest.mark.parametrize("patient", [4700, 4700.0, "4700", " 4700 "])
def test_a_patient_and_a_spacing_are_read_as_values(tmp_path: Path, patient: object) -> None:
    content = rows(P1 | {"patient": patient, "spacing_mm": "0,07"})
    (image,), _ = read("coco", coco(tmp_path, content))
    assert (image.patient, image.spacing_mm) == ("4700", (0.07, 0.07))
