from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mammo.exchange.export.formats import write_coco, write_sr
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.exchange.export.project import read_project
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.images.task_images import TaskImages
from mammo.labelstudio import ControlTags, LabelStudioClient, labeling_config, truth_regions
from mammo.labelstudio.image_config import image_config
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio
from tests.mammo.dicom.files import mammogram_file
from tests.mammo.exchange.export.labelled_images import SIZE, ring


def drawn(*findings: Finding, model: str | None = "m0002", size: Size = SIZE) -> list[dict[str, Any]]:
    regions = truth_regions(findings, size=size, tags=ControlTags(), source=model or "")
    if model is None:
        for region in regions:
            del region["meta"]
    return regions


def annotation(
    number: int, result: list[dict[str, Any]], *, at: str = "2024-01-01", **more: Any
) -> dict[str, Any]:
    return {"id": number, "result": result, "updated_at": at, **more}


def exported(root: Path, *tasks: dict[str, Any]) -> list[LabelledImage | Refusal]:
    studio = FakeLabelStudio()
    studio.projects[1] = {"id": 1, "label_config": labeling_config()}
    studio.tasks = [{"id": number, "project": 1, **task} for number, task in enumerate(tasks, start=1)]
    with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
        return list(read_project(client, 1, TaskImages(root=root, downloads=None)))


def test_the_newest_annotation_of_each_task_comes_out(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(mammogram_file())
    data = {"mammogram": "a.dcm", "patient": "key-1", "name": "DOE^JANE"}
    items = exported(
        tmp_path,
        {
            "data": data,
            "annotations": [
                annotation(5, drawn(ring(3, 4)), at="2024-01-03"),
                annotation(6, drawn(ring(9, 9)), at="2024-01-02"),
                annotation(7, drawn(), at="2024-01-09", was_cancelled=True),
            ],
        },
        {"data": data, "annotations": []},
    )
    assert len(items) == 1
    (image,) = items
    assert isinstance(image, LabelledImage)
    assert (image.name, image.file_name, image.source) == ("task-1", "a.dcm", tmp_path / "a.dcm")
    assert image.facts == {"patient": "key-1", "task": 1}
    expected = ring(3, 4).mask
    mask = image.findings[0].mask
    assert mask is not None
    assert expected is not None
    np.testing.assert_array_equal(mask.full(SIZE), expected.full(SIZE))


def test_who_made_it_is_told_by_what_the_regions_remember(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(mammogram_file())
    data = {"mammogram": "a.dcm"}
    corrected, own, none = exported(
        tmp_path,
        {"data": data, "annotations": [annotation(1, drawn(ring(3, 4), model="m0002"))]},
        {"data": data, "annotations": [annotation(2, drawn(ring(3, 4), model=None))]},
        {"data": data, "annotations": [annotation(3, [])]},
    )
    origins = [image.origin for image in (corrected, own, none) if isinstance(image, LabelledImage)]
    assert [origin.made_by for origin in origins] == ["semiautomatic", "manual", "manual"]
    assert origins[0].version == "m0002"


def test_a_task_that_cannot_be_exported_is_named_and_the_others_come_out(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(mammogram_file())
    larger = drawn(ring(300, 400), size=Size(320, 480))
    items = exported(
        tmp_path,
        {"data": {"mammogram": "../a.dcm"}, "annotations": [annotation(1, drawn(ring(3, 4)))]},
        {"data": {"mammogram": "a.dcm"}, "annotations": [annotation(2, larger)]},
        {"data": {"mammogram": "a.dcm"}, "annotations": [annotation(3, [{"type": "brushlabels"}])]},
        {"data": {"mammogram": "a.dcm"}, "annotations": [annotation(4, drawn(ring(3, 4)))]},
    )
    assert [item.where for item in items if isinstance(item, Refusal)] == ["task 1", "task 2", "task 3"]
    assert isinstance(items[3], LabelledImage)


def test_what_a_person_wrote_comes_out_only_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(mammogram_file())
    tags = ControlTags.read(image_config())
    described = replace(ring(3, 4), suspicion="3", comment="as Mrs Doe told")
    studio = FakeLabelStudio()
    studio.projects[1] = {"id": 1, "label_config": image_config()}
    result = truth_regions([described], size=SIZE, tags=tags, source="m0002")
    studio.tasks = [
        {"id": 1, "project": 1, "data": {"mammogram": "a.dcm"}, "annotations": [annotation(1, result)]}
    ]
    images = TaskImages(root=tmp_path, downloads=None)
    for comments in (False, True):
        with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
            (image,) = read_project(client, 1, images, comments=comments)
        assert isinstance(image, LabelledImage)
        assert write_coco([image], tmp_path) == []
        write_sr([image], tmp_path)
        (report,) = tmp_path.glob("*.sr.dcm")
        assert ("Doe" in (tmp_path / "coco.json").read_text()) == comments
        assert (b"Doe" in report.read_bytes()) == comments
        assert image.attributes[0]["suspicion"] == "3"
