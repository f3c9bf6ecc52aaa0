"""A task of two mammograms: each prediction, correction and dataset item is of the image that its regions name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from cli.project.switching import switch_descriptors
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.dicom import write_mammogram
from mammo.errors import InvalidRegion
from mammo.exchange.importing import import_mammogram
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import IMAGE_FACTS, TaskImages
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.phantom import PhantomView, phantom_view, vendor_a
from tests.mammo.labelstudio.test_descriptors import about
from training.cases import silent
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SECRET = b"two images"
CONFIG = """<View>
  <Image name="LCC" value="$lcc"/><Image name="LMLO" value="$lmlo"/>
  <KeyPointLabels name="ask-LCC" toName="LCC" smart="true" smartOnly="true"><Label value="Cluster"/></KeyPointLabels>
  <KeyPointLabels name="ask-LMLO" toName="LMLO" smart="true" smartOnly="true"><Label value="Cluster"/></KeyPointLabels>
  <PolygonLabels name="outline-LCC" toName="LCC" smart="false"><Label value="Cluster"/></PolygonLabels>
  <PolygonLabels name="outline-LMLO" toName="LMLO" smart="false"><Label value="Cluster"/></PolygonLabels>
</View>"""
VIEWS = {"lcc": ("CC", 431), "lmlo": ("MLO", 432)}


@pytest.fixture(scope="module")
def exam(running_stack: Stack) -> Iterator[tuple[Walk, int, dict[str, PhantomView]]]:
    """One task: two views of one breast, of two clusters each, and of different sizes."""
    walk = Walk(running_stack)
    walk.create_project(CONFIG)
    root, served = running_stack.settings.mammogram_root, running_stack.label_studio.files
    assert root is not None
    data: dict[str, Any] = {}
    drawn, files = {}, []
    for key, (view, seed) in VIEWS.items():
        height = 1600 if key == "lcc" else 1800
        drawn[key] = phantom_view(
            seed, view=view, clusters=2, appearance=vendor_a(), width=1280, height=height
        )
        files.append(root / f"two-{key}.dcm")
        write_mammogram(
            files[-1],
            drawn[key].stored,
            laterality="L",
            view=view,
            spacing_mm=drawn[key].spacing_mm,
            bits=drawn[key].bits,
            patient_id="PHANTOM-TWO",
            entropy=f"two {key}",
        )
        described = import_mammogram(files[-1], root=root, files=served, patient_secret=SECRET)
        data[key] = described["image"]
        data |= {f"{key}_{each}": described[each] for each in IMAGE_FACTS if each in described}
        data["patient"] = described["patient"]
    try:
        (task,) = walk.client.import_tasks(walk.project, [data])
        yield walk, task, drawn
    finally:
        for file in files:
            file.unlink()
        walk.client.call("DELETE", f"/api/projects/{walk.project}/")


def images(walk: Walk, task: int) -> dict[str, ControlTags]:
    (data,) = [each["data"] for each in walk.client.tasks(walk.project) if each["id"] == task]
    return {tags.image_key: tags for tags in ControlTags.read(CONFIG).on(data)}


def test_both_images_are_prelabelled_in_one_prediction(
    exam: tuple[Walk, int, dict[str, PhantomView]],
) -> None:
    walk, task, drawn = exam
    walk.prelabel(silent)
    (prediction,) = walk.client.predictions(task)
    for key, tags in images(walk, task).items():
        view = drawn[key.lower()]
        found = from_regions(prediction["result"], tags=tags)
        assert found, f"nothing was found on {key}"
        here = [region for region in prediction["result"] if tags.shows(region)]
        assert {region["original_height"] for region in here} == {view.size.height}
        assert any(each.box.iou(true.box) > 0.1 for each in found for true in view.truth)


def test_a_click_on_one_image_is_answered_there(exam: tuple[Walk, int, dict[str, PhantomView]]) -> None:
    walk, task, drawn = exam
    view = drawn["lmlo"]
    x, y = view.truth[0].box.centre
    click = {
        "id": "k", "type": "keypointlabels", "from_name": "ask-LMLO", "to_name": "LMLO", "is_positive": True,
        "original_width": view.size.width, "original_height": view.size.height, "image_rotation": 0,
        "value": {"x": 100 * x / view.size.width, "y": 100 * y / view.size.height, "width": 0.3,
                  "keypointlabels": ["Cluster"]},
    }  # fmt: skip
    (data,) = [each["data"] for each in walk.client.tasks(walk.project) if each["id"] == task]
    body = {
        "tasks": [{"id": task, "data": data}],
        "project": str(walk.project),
        "label_config": CONFIG,
        "params": {"context": {"result": [click]}},
    }
    url = f"{walk.stack.backend_url}/predict"
    (answer,) = httpx.post(url, json=body, auth=walk.stack.auth, timeout=120, trust_env=False).json()[
        "results"
    ]
    assert [(each["to_name"], each["from_name"]) for each in answer["result"]] == [("LMLO", "outline-LMLO")]


def test_a_correction_becomes_an_item_of_each_image(exam: tuple[Walk, int, dict[str, PhantomView]]) -> None:
    walk, task, _ = exam
    (prediction,) = walk.client.predictions(task)
    gone, *left = prediction["result"]
    walk.client.annotate(task, left, lead_time=5.0, parent_prediction=prediction["id"])
    walk.annotations += 1
    walk.expect_corrections()
    settings = walk.stack.settings
    engine = open_database(settings.database)
    opener = TaskImages(
        root=settings.mammogram_root,
        downloads=ImageDownloads.of(settings, walk.client),
        patient_secret=SECRET,
    )
    with closing(AnnotationStore(engine)) as store:
        dataset = build_dataset_version(
            store,
            engine,
            Blobs(settings.blobs),
            project=walk.project,
            open_image=opener.open,
            options=ReadOptions(
                tags=ControlTags.read(CONFIG), prefer=PREFERENCE, with_automatic=False, secret=SECRET
            ),
        )
    items = {item.image_key: item for item in dataset.items}
    assert set(items) == {"LCC", "LMLO"}
    assert len({item.patient for item in dataset.items}) == 1
    for key, tags in images(walk, task).items():
        sent = [each for each in prediction["result"] if tags.shows(each)]
        assert len(items[key].truth) == len(sent) - tags.shows(gone)
        assert [each.box for each in items[key].truth] == [each.box for each in from_regions(left, tags=tags)]


def test_the_project_begins_to_ask_for_words_and_keeps_its_annotation(
    exam: tuple[Walk, int, dict[str, PhantomView]],
) -> None:
    walk, task, _ = exam
    (before,) = walk.client.annotations(task)
    console = Console(quiet=True)

    def switch(*, on: bool) -> ControlTags:
        switch_descriptors(walk.project, on=on, apply=True, site=walk.site, console=console)
        return ControlTags.read(str(walk.client.project(walk.project)["label_config"]))

    assert switch(on=True).morphology == "morphology-LCC"
    assert walk.client.annotations(task)[0]["result"] == before["result"]
    assert switch(on=False).morphology is None, "no annotation says anything yet"
    tags = switch(on=True)
    region = next(each for each in before["result"] if tags.shows(each))
    word = about(region, "morphology-LCC", "skin")
    walk.client.call("PATCH", f"/api/annotations/{before['id']}/", json={"result": [*before["result"], word]})
    with pytest.raises(InvalidRegion, match="say something with morphology-LCC"):
        switch(on=False)
