from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mammo.exchange.export.formats import FORMATS, write_coco, write_png, write_seg, write_yolo
from tests.mammo.dicom.files import mammogram_file
from tests.mammo.dicom.segmentations import read_segmentation
from tests.mammo.exchange.export.labelled_images import BOX_ONLY, POINT_ONLY, SIZE, labelled, ring


def test_coco_run_lengths_are_the_mask_and_polygons_fill_its_hole(tmp_path: Path) -> None:
    first, second = ring(3, 4), ring(20, 30)
    image = labelled("a", first, second, facts={"patient": "p1", "width": 7}, attributes=({"kind": "x"}, {}))
    assert write_coco([labelled("empty"), image], tmp_path) == []
    exact, outlined = (COCO(str(tmp_path / name)) for name in ("coco.json", "coco-polygons.json"))
    assert [row["file_name"] for row in exact.dataset["images"]] == ["empty.dcm", "a.dcm"]
    row = exact.dataset["images"][1]
    assert (row["width"], row["height"], row["patient"]) == (32, 48, "p1")
    for finding, annotation, outline in zip(
        (first, second), exact.imgToAnns[2], outlined.imgToAnns[2], strict=True
    ):
        assert finding.mask is not None
        full = finding.mask.full(SIZE)
        np.testing.assert_array_equal(exact.annToMask(annotation), full)
        filled = full.copy()
        filled[finding.box.y0 + 2, finding.box.x0 + 2] = 1
        np.testing.assert_array_equal(outlined.annToMask(outline), filled)
        assert annotation["bbox"] == [finding.box.x0, finding.box.y0, 5, 5]
        assert annotation["area"] == 23
    assert exact.dataset["annotations"][0]["attributes"] == {"kind": "x"}
    assert "attributes" not in exact.dataset["annotations"][1]


def test_yolo_writes_shares_of_the_image_and_an_empty_file_for_an_empty_image(tmp_path: Path) -> None:
    assert write_yolo([labelled("a", BOX_ONLY), labelled("b")], tmp_path) == []
    words = (tmp_path / "labels" / "a.txt").read_text().split()
    assert words[0] == "0"
    np.testing.assert_allclose(
        [float(word) for word in words[1:]], [5 / 32, 5 / 48, 8 / 32, 6 / 48], atol=1e-6
    )
    assert (tmp_path / "labels" / "b.txt").read_text() == ""
    assert "0: Cluster" in (tmp_path / "data.yaml").read_text()


def test_a_png_is_as_large_as_the_image_and_white_where_a_cluster_is(tmp_path: Path) -> None:
    finding = ring(3, 4)
    refusals = write_png([labelled("a", finding, BOX_ONLY)], tmp_path)
    picture = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert finding.mask is not None
    np.testing.assert_array_equal(picture, 255 * finding.mask.full(SIZE))
    assert [refusal.where for refusal in refusals] == ["a"]


def test_a_segmentation_refers_to_its_image_and_says_what_it_cannot_hold(tmp_path: Path) -> None:
    source = mammogram_file()
    images = [
        labelled("a", ring(3, 4), BOX_ONLY, source=source),
        labelled("empty", source=source),
        labelled("plain", ring(3, 4), source=b"\x89PNG\r\n\x1a\n"),
        labelled("gone", ring(3, 4)),
    ]
    refusals = write_seg(images, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.seg.dcm"]
    assert len(read_segmentation(tmp_path / "a.seg.dcm").findings) == 1
    assert [refusal.where for refusal in refusals] == ["a", "plain", "gone"]
    assert "a box only" in refusals[0].reason
    assert "needs a DICOM file" in refusals[1].reason


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_to_export_is_no_error(tmp_path: Path, kind: str) -> None:
    assert FORMATS[kind]([], tmp_path) == []
    if kind == "coco":
        assert json.loads((tmp_path / "coco.json").read_bytes())["images"] == []


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_an_image_with_a_cluster_that_only_a_point_marks_is_left_out_with_a_reason(
    tmp_path: Path, kind: str
) -> None:
    source = mammogram_file()
    images = [
        labelled("a", ring(3, 4), source=source),
        labelled("b", POINT_ONLY, source=source),
        labelled("c", ring(3, 4), POINT_ONLY, source=source),
    ]
    refusals = FORMATS[kind](images, tmp_path)
    assert [refusal.where for refusal in refusals] == ["b", "c"]
    assert all("marked by a point only" in refusal.reason for refusal in refusals)
    assert not {path.name[0] for path in tmp_path.rglob("[bc].*")}
    listed = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert '"b.dcm"' not in listed
    assert '"c.dcm"' not in listed
