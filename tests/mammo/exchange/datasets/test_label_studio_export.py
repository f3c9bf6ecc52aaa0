"""What Label Studio's own converter writes, read again: the converter of its SDK, on files as its server keeps them."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.converter import Format

from mammo.exchange.datasets.contents import DatasetImage
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio import ControlTags, labeling_config, to_regions
from tests.mammo.exchange.datasets.miniatures import grey_image, picture
from tests.mammo.exchange.datasets.reading import findings_of, read, summary
from tests.mammo.exchange.export.labelled_images import BOX_ONLY, ring

SIZE = Size(32, 48)
TAGS = ControlTags(brush=None, note=None)
UPLOADS = ("1a2b3c4d-p1_LCC.png", "2b3c4d5e-p2_LCC.png", "3c4d5e6f-p2_RCC.png")
PATTERN = r"[0-9a-f]{8}-([^_]+)_"


def solid(x: int, y: int) -> Finding:
    outline = ring(x, y)
    assert outline.mask is not None
    outline.mask.bitmap[:] = True
    return outline


DRAWN: list[list[Finding]] = [[solid(3, 4), solid(20, 30)], [BOX_ONLY], []]


def exported(
    folder: Path,
    *,
    tags: ControlTags,
    with_images: bool,
    reference: str,
    kind: str = "COCO",
    config: str = "",
) -> Path:
    """Three tasks of one project, as `GET /api/projects/3/export?exportType=COCO` converts them."""
    uploads, out, tasks = folder / "media" / "upload", folder / "export", []
    for number, (name, drawn) in enumerate(zip(UPLOADS, DRAWN, strict=True), start=1):
        grey_image(uploads / "3" / name, picture(number) * 16)
        result = to_regions(drawn, size=SIZE, tags=tags, model_version="m1")
        annotation = {"id": number, "result": result, "was_cancelled": False, "completed_by": 1}
        data = {"image": reference.format(name=name)}
        tasks.append({"id": number, "data": data, "annotations": [annotation], "predictions": []})
    (folder / "tasks.json").write_text(json.dumps(tasks))
    converter = Converter(
        config or labeling_config(), project_dir=None, upload_dir=str(uploads), download_resources=with_images
    )
    converted = Format[f"{kind}_WITH_IMAGES"] if with_images else Format[kind]
    converter.convert(str(folder / "tasks.json"), str(out), converted, is_dir=False)
    return out


def annotated(folder: Path, kind: str = "coco") -> list[DatasetImage]:
    """The two images that have annotations."""
    images, refusals = read(kind, folder, patient_pattern=PATTERN)
    assert [refusal.reason for refusal in refusals if "Label Studio" not in refusal.reason] == []
    assert [image.patient for image in images] == ["p1", "p2"]
    return images


@pytest.mark.parametrize("with_images", [True, False])
def test_boxes_and_outlines_come_back_as_the_clusters_they_were(tmp_path: Path, with_images: bool) -> None:
    out = exported(tmp_path, tags=TAGS, with_images=with_images, reference="/data/upload/3/{name}")
    if not with_images:
        for name in UPLOADS:
            shutil.copy(tmp_path / "media" / "upload" / "3" / name, out / "images")
    stated = [row["file_name"] for row in json.loads((out / "result.json").read_text())["images"]]
    assert all(name.endswith(upload) for name, upload in zip(stated, UPLOADS, strict=True))
    for image, drawn in zip(annotated(out), DRAWN, strict=False):
        findings = sorted(findings_of(image), key=lambda each: each.box.as_tuple())
        assert [each.box for each in findings] == [each.box for each in drawn]
        assert [each.mask is None for each in findings] == [each.mask is None for each in drawn]


def test_addresses_that_it_could_not_open_lead_to_the_images_beside_the_file(tmp_path: Path) -> None:
    reference = "http://labels.example/data/upload/3/{name}"
    out = exported(tmp_path, tags=TAGS, with_images=False, reference=reference)
    content = json.loads((out / "result.json").read_text())
    for row, name in zip(content["images"], UPLOADS, strict=False):
        row["file_name"] = reference.format(name=name)
        shutil.copy(tmp_path / "media" / "upload" / "3" / name, out / "images")
    (out / "result.json").write_text(json.dumps(content).replace("/", "\\/"))
    assert [image.file.name for image in annotated(out)] == list(UPLOADS[:2])


def test_an_image_without_annotations_says_nothing_there(tmp_path: Path) -> None:
    """Of a project with a brush every image is exported without what was drawn."""
    out = exported(tmp_path, tags=TAGS, with_images=True, reference="/data/upload/3/{name}")
    result = summary("coco", out, patient_pattern=PATTERN)
    assert (result.images, result.without) == (2, 0)
    assert "may contain clusters" in result.refusals[0].reason


def test_a_way_out_of_the_folder_leads_nowhere_but_to_the_images(tmp_path: Path) -> None:
    out = exported(tmp_path, tags=TAGS, with_images=True, reference="/data/upload/3/{name}")
    shutil.rmtree(out / "images")
    result = summary("coco", out, patient_pattern=PATTERN)
    assert result.images == 0
    assert all("not in the folder" in refusal.reason for refusal in result.refusals[:2])


WITHOUT_KEY_POINTS = re.sub(r"<KeyPointLabels.*?</KeyPointLabels>", "", labeling_config(), flags=re.S)


@pytest.mark.parametrize(
    ("config", "tags"),
    [
        (WITHOUT_KEY_POINTS, replace(TAGS, keypoint=None)),
        (labeling_config(), replace(TAGS, polygon=None)),
    ],
)
def test_its_yolo_export_is_read_too(tmp_path: Path, config: str, tags: ControlTags) -> None:
    options = {"with_images": True, "reference": "/data/upload/3/{name}", "kind": "YOLO"}
    out = exported(tmp_path, tags=tags, config=config, **options)  # type: ignore[arg-type]
    for image, drawn in zip(annotated(out, "yolo"), DRAWN, strict=False):
        result = sorted(findings_of(image), key=lambda each: each.box.as_tuple())
        assert [each.box for each in result] == [each.box for each in drawn]
        masked = [each.mask is not None and tags.polygon is not None for each in drawn]
        assert [each.mask is not None for each in result] == masked
    result = summary("yolo", out, patient_pattern=PATTERN)
    assert (result.images, result.without) == (2, 0)
    assert "may contain clusters" in result.refusals[0].reason
