"""Label Studio's own *Retrieve predictions* and smart clicks, with a task in the batch whose image is gone.

Of a prediction Label Studio keeps result, score and version, so the reason of one without findings stands in its
result, as a note that annotators read, and in our log and metrics; the answer to a click it passes on whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from mammo.dicom import write_mammogram
from mammo.exchange.importing import import_mammogram
from mammo.geometry import Size
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import mask_of
from mammo.phantom import PhantomView, phantom_view

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SIZE = Size(900, 1100)


@dataclass
class Project:
    """A mammogram, a task whose file is gone, and another mammogram, in this order."""

    walk: Walk
    tasks: list[int]
    phantoms: list[PhantomView]

    def retrieve(self) -> None:
        """What the data manager does for all tasks of the project."""
        everything = {
            "selectedItems": {"all": True, "excluded": []},
            "filters": {"conjunction": "and", "items": []},
        }
        params = {"id": "retrieve_tasks_predictions", "project": self.walk.project}
        answer = self.walk.client.call("POST", "/api/dm/actions", params=params, json=everything)
        assert answer["processed_items"] == len(self.tasks), answer

    def predictions(self) -> list[list[dict[str, Any]]]:
        return [self.walk.client.predictions(task) for task in self.tasks]

    def click(self, task: int, phantom: PhantomView) -> dict[str, Any]:
        """What the browser sends for a smart click into the middle of the first cluster."""
        x, y = phantom.truth[0].box.centre
        point = {
            "id": "k1", "type": "keypointlabels", "from_name": "prompt-point", "to_name": "image",
            "is_positive": True, "origin": "manual", "image_rotation": 0,
            "original_width": SIZE.width, "original_height": SIZE.height,
            "value": {
                "x": 100 * x / SIZE.width, "y": 100 * y / SIZE.height, "width": 0.3, "keypointlabels": ["Cluster"]
            },
        }  # fmt: skip
        assert self.walk.connection is not None
        path = f"/api/ml/{self.walk.connection.ml_backend}/interactive-annotating"
        answer = self.walk.client.call("POST", path, json={"task": task, "context": {"result": [point]}})
        return dict(answer["data"])

    def unreadable(self) -> float:
        """How many tasks without a readable image the backend has counted."""
        stack = self.walk.stack
        text = httpx.get(f"{stack.backend_url}/metrics", auth=stack.auth, timeout=10, trust_env=False).text
        found = re.search(r'outcome="unreadable"\} (\S+)', text)
        return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def project(running_stack: Stack) -> Iterator[Project]:
    walk = Walk(running_stack)
    walk.create_project()
    root = running_stack.settings.mammogram_root
    assert root is not None
    phantoms = [phantom_view(seed, width=SIZE.width, height=SIZE.height) for seed in (11, 12, 13)]
    files = [root / f"retrieved-{number}.dcm" for number in range(len(phantoms))]
    described = []
    for file, phantom in zip(files, phantoms, strict=True):
        write_mammogram(
            file, phantom.stored, laterality="L", view="CC", spacing_mm=phantom.spacing_mm, bits=phantom.bits,
            patient_id="PHANTOM-RETRIEVED", entropy=file.name,
        )  # fmt: skip
        described.append(
            import_mammogram(
                file, root=root, files=running_stack.label_studio.files, patient_secret=b"retrieved"
            )
        )
    files[1].unlink()
    try:
        yield Project(walk, walk.client.import_tasks(walk.project, described), phantoms)
    finally:
        for file in files:
            file.unlink(missing_ok=True)
        walk.client.call("DELETE", f"/api/projects/{walk.project}/")


def test_a_batch_with_a_failing_task_fills_the_others_and_is_not_asked_again(project: Project) -> None:
    before = project.unreadable()
    project.retrieve()
    first, failed, last = project.predictions()
    version = project.walk.version()
    for (stored,) in (first, last):
        assert stored["model_version"] == version
        assert 0 < stored["score"] <= 1
    found = [
        finding
        for (stored,) in (first, last)
        for finding in from_regions(stored["result"], tags=ControlTags())
    ]
    assert found, "nothing is found in either phantom"
    (empty,) = failed
    assert (empty["score"], empty["model_version"]) == (0.0, version)
    assert "reason" not in empty, "Label Studio drops what it does not know"
    (note,) = empty["result"]
    assert (note["type"], note["meta"]["reason"]) == ("textarea", "image_not_found")
    assert from_regions(empty["result"], tags=ControlTags()) == []
    assert project.unreadable() > before
    lines = project.walk.stack.processes.log("backend").read_text().splitlines()
    events = [json.loads(line) for line in lines if "image_not_found" in line]
    assert project.tasks[1] in [event["task"] for event in events]
    project.retrieve()
    assert [len(each) for each in project.predictions()] == [1, 1, 1]


def test_a_click_is_answered_and_one_on_a_task_without_its_image_says_why(project: Project) -> None:
    good, broken = (
        project.click(task, phantom)
        for task, phantom in zip(project.tasks[:2], project.phantoms[:2], strict=True)
    )
    assert (broken["result"], broken["reason"]) == ([], "image_not_found")
    (region,) = good["result"]
    mask = mask_of(region)
    assert mask is not None
    assert mask.intersection_area(project.phantoms[0].truth[0].mask) > 0
    assert [len(each) for each in project.predictions()] == [1, 1, 1], "a suggestion is no prediction"
