"""A project out, and in again: the same clusters of the same images, whatever the images are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.dicom import read_mammogram
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions
from mammo.exchange.datasets.reading import READERS
from mammo.exchange.export.formats import LIST, write_coco, write_png, write_yolo
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.exchange.export.project import read_project
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.images.task_images import TaskImages
from mammo.labelstudio import ControlTags, LabelStudioClient, labeling_config, truth_regions
from mammo.masks import Mask
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio
from tests.mammo.exchange.datasets.miniatures import grey_image
from tests.mammo.exchange.export.labelled_images import BOX_ONLY, labelled, ring

SIZE = Size(32, 48)
PATHS = ("a b/x.png", "c/x.png", "für/山.png", "100%/x+y.png")
DRAWN: tuple[list[Finding], ...] = ([ring(3, 4), ring(20, 30)], [ring(9, 9)], [], [BOX_ONLY])


class Storage:
    """Label Studio's local files, for whoever asks by their address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, reference: str, **_: object) -> BinaryIO:
        (path,) = [each for each in PATHS if reference == f"/data/local-files/?d={quote(each)}"]
        return (self.folder / path).open("rb")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for number, path in enumerate(PATHS):
        pixels = np.tile(np.arange(32, dtype=np.uint8) * 5, (48, 1))
        pixels[0, 0] = number
        grey_image(tmp_path / "made.png", pixels)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made.png").rename(folder / path)
    return folder


@pytest.fixture
def exported(images: Path) -> list[LabelledImage]:
    studio = FakeLabelStudio()
    studio.projects[1] = {"id": 1, "label_config": labeling_config()}
    for number, (path, drawn) in enumerate(zip(PATHS, DRAWN, strict=True), start=1):
        result = truth_regions(drawn, size=SIZE, tags=ControlTags(), source="reader")
        data = {
            "image": f"/data/local-files/?d={quote(path)}",
            "patient": 4700 + number,
            "spacing_mm": "0,07",
        }
        annotation = {"id": number, "result": result, "updated_at": "2026-01-01"}
        studio.tasks.append({"id": number, "project": 1, "data": data, "annotations": [annotation]})
    with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
        items = list(read_project(client, 1, TaskImages(root=None, downloads=Storage(images))))
    return [image for image in items if not isinstance(image, Refusal)]


def imported(folder: Path) -> dict[str, DatasetImage]:
    items = list(READERS["coco"](DatasetOptions(kind="coco", folder=folder)))
    assert [str(item) for item in items if isinstance(item, Refusal)] == []
    return {
        item.file.relative_to(folder / "images").as_posix(): item
        for item in items
        if isinstance(item, DatasetImage)
    }


def test_a_project_comes_back_from_its_coco_export(tmp_path: Path, exported: list[LabelledImage]) -> None:
    assert write_coco(exported, tmp_path) == []
    result = imported(tmp_path)
    assert sorted(result) == sorted(PATHS)
    for number, (path, drawn) in enumerate(zip(PATHS, DRAWN, strict=True), start=1):
        assert result[path].patient == str(4700 + number)
        assert result[path].spacing_mm == (0.07, 0.07)
        for one, other in zip(result[path].findings(SIZE), drawn, strict=True):
            assert one.box == other.box
            assert (one.mask is None) == (other.mask is None)
            assert one.mask is None or (other.mask is not None and one.mask.dice(other.mask) == 1)


def test_yolo_labels_and_masks_are_named_after_their_images_and_listed(
    tmp_path: Path, exported: list[LabelledImage]
) -> None:
    out = tmp_path / "yolo"
    out.mkdir()
    assert write_yolo(exported, out) == []
    rows = json.loads((out / LIST).read_bytes())["images"]
    for row, path, drawn in zip(rows, PATHS, DRAWN, strict=True):
        assert row["file"] == f"labels/{path.removesuffix('.png')}.txt"
        assert row["image"] == path
        assert row["sha256"] == read_mammogram(tmp_path / "images" / path).sha256
        assert row["reference"] == f"/data/local-files/?d={quote(path)}"
        lines = (out / row["file"]).read_text().splitlines()
        assert [boxed(line) for line in lines] == [finding.box for finding in drawn]
    assert [row["task"] for row in rows] == [1, 2, 3, 4]


def boxed(line: str) -> Box:
    """The pixels that a line of YOLO's means."""
    x, y, width, height = (float(word) for word in line.split()[1:])
    left, top = (x - width / 2) * SIZE.width, (y - height / 2) * SIZE.height
    corners = left, top, left + width * SIZE.width, top + height * SIZE.height
    x0, y0, x1, y1 = (round(each) for each in corners)
    return Box(x0, y0, x1, y1)


@st.composite
def drawings(draw: st.DrawFn) -> list[Finding]:
    findings = []
    for number in range(draw(st.integers(0, 3))):
        width, height = draw(st.integers(1, 10)), draw(st.integers(1, 14))
        x, y = draw(st.integers(0, 32 - width)), draw(st.integers(0, 48 - height))
        bits = draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
        bitmap = np.array(bits, np.bool_).reshape(height, width)
        mask = Mask(bitmap, x, y).tight() if bitmap.any() else None
        box = mask.frame if mask else Box(x, y, x + width, y + height)
        findings.append(Finding(label=CLUSTER, score=1.0, box=box, mask=mask, id=f"f{number}"))
    return findings


@given(drawings())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_drawn_comes_back_from_coco_exactly_and_from_yolo_by_its_boxes(
    tmp_path: Path, drawn: list[Finding]
) -> None:
    grey_image(tmp_path / "images" / "a.png", np.tile(np.arange(32, dtype=np.uint8) * 5, (48, 1)))
    image = labelled("a", *drawn, file_name="a.png")
    assert write_coco([image], tmp_path) == []
    (item,) = imported(tmp_path).values()
    findings = item.findings(SIZE)
    assert [each.box for each in findings] == [each.box for each in drawn]
    for one, other in zip(findings, drawn, strict=True):
        assert (one.mask is None) == (other.mask is None)
        assert one.mask is None or (other.mask is not None and one.mask.dice(other.mask) == 1)
    out = tmp_path / "yolo"
    out.mkdir(exist_ok=True)
    write_yolo([image], out)
    assert [boxed(line) for line in (out / "labels" / "a.txt").read_text().splitlines()] == [
        f.box for f in drawn
    ]


def test_one_image_has_one_truth_in_an_export(tmp_path: Path) -> None:
    twice: list[Any] = [labelled("one", ring(3, 4), file_name="a.png"), labelled("two", file_name="a.png")]
    for write in (write_coco, write_yolo, write_png):
        (refusal,) = write(twice, tmp_path)
        assert (refusal.where, "the same image as one" in refusal.reason) == ("two", True)


def test_a_mask_is_not_written_over_the_image_it_is_of_but_over_an_earlier_mask(tmp_path: Path) -> None:
    grey_image(tmp_path / "a.png", np.tile(np.arange(32, dtype=np.uint8) * 5, (48, 1)))
    image = labelled("a", ring(3, 4), file_name="a.png")
    (refusal,) = write_png([image], tmp_path)
    assert "choose another --out" in refusal.reason
    assert read_mammogram(tmp_path / "a.png").size == SIZE
    out = tmp_path / "masks"
    out.mkdir()
    assert write_png([image], out) == write_png([image], out) == []


def test_an_image_of_which_only_boxes_are_known_gets_no_empty_mask(tmp_path: Path) -> None:
    refusals = write_png([labelled("a", BOX_ONLY)], tmp_path)
    assert len(refusals) == 1
    assert not (tmp_path / "a.png").exists()
