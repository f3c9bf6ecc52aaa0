"""One finding is one outline: submitted untouched, deleted by one gesture, asked for by a click; in a real browser.

What the annotator did is followed to the store, the trace and the dataset version. Tests in order, one page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.dicom import read_mammogram, write_mammogram
from mammo.exchange.importing import import_mammogram
from mammo.findings import Finding
from mammo.geometry import Point, Size
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TaskImages
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ModelRegistry
from mammo.phantom import phantom_view, vendor_a
from mammo.prompts import AIR
from mammo.trace import Trace, trace
from tests.e2e.screen import PATIENCE, Screen
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import DatasetVersion

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SIZE = Size(1664, 2048)
CONFIG = image_config()
TAGS = ControlTags.read(CONFIG)
SEEDS = {"untouched": 421, "deleted": 422, "clicked": 423}
SECRET = b"the findings"


@dataclass
class Ward:
    """The screen, and a task for each of the things that are done."""

    screen: Screen
    walk: Walk
    tasks: dict[str, int]
    tissue: dict[str, np.ndarray]
    """H x W bool, True well inside the breast."""

    def prediction(self, name: str) -> dict[str, Any]:
        return self.walk.client.predictions(self.tasks[name])[0]

    def findings(self, name: str) -> list[Finding]:
        """What the model proposed."""
        return from_regions(self.prediction(name)["result"], tags=TAGS)

    def open(self, name: str) -> None:
        self.screen.open(self.walk.stack.label_studio, self.walk.project, self.tasks[name])

    def submit(self, name: str) -> list[dict[str, Any]]:
        """Press Ctrl + Enter; returns what Label Studio keeps."""
        task = self.tasks[name]
        with self.screen.page.expect_response(
            lambda r: r.request.method == "POST" and f"/api/tasks/{task}/annotations" in r.url,
            timeout=PATIENCE,
        ) as saved:
            self.screen.page.keyboard.press("Control+Enter")
        assert saved.value.status == 201
        (annotation,) = self.walk.client.annotations(task)
        return list(annotation["result"])

    def trace(self, name: str) -> Trace:
        engine = open_database(self.walk.stack.settings.database)
        with closing(AnnotationStore(engine)) as store:
            (correction,) = [
                each for each in store.corrections(self.walk.project) if each.task_id == self.tasks[name]
            ]
            return trace(
                correction.annotation_id,
                store=store,
                engine=engine,
                registry=ModelRegistry(engine, self.walk.stack.settings.blobs),
                secret=SECRET,
                tags=lambda _project: TAGS,
            )


@pytest.fixture(scope="module")
def ward(running_stack: Stack, browser: Browser) -> Iterator[Ward]:
    """A project of ours with three mammograms of three clusters each, prelabelled when they are opened."""
    walk = Walk.on(running_stack)
    walk.create_project(CONFIG)
    root, server = running_stack.settings.mammogram_root, running_stack.label_studio
    assert root is not None
    data, tissue, files = {}, {}, []
    for name, seed in SEEDS.items():
        drawn = phantom_view(seed, clusters=3, appearance=vendor_a(), width=SIZE.width, height=SIZE.height)
        files.append(root / f"findings-{name}.dcm")
        write_mammogram(
            files[-1],
            drawn.stored,
            laterality="L",
            view="CC",
            spacing_mm=drawn.spacing_mm,
            bits=drawn.bits,
            patient_id=f"PHANTOM-{name}",
            entropy=f"findings {name}",
        )
        data[name] = import_mammogram(files[-1], root=root, files=server.files, patient_secret=SECRET)
        tissue[name] = cv2.erode(
            (read_mammogram(files[-1]).pixels > AIR).astype(np.uint8),
            np.ones((201, 201), np.uint8),
            borderValue=0,
        ).astype(np.bool_)
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    try:
        walk.client.import_tasks(walk.project, list(data.values()))
        by_image = {task["data"]["sha256"]: task["id"] for task in walk.client.tasks(walk.project)}
        screen = Screen(page, SIZE)
        screen.log_in(server)
        tasks = {name: by_image[described["sha256"]] for name, described in data.items()}
        yield Ward(screen, walk, tasks, tissue)
    finally:
        page.close()
        for file in files:
            file.unlink()
        walk.client.call("DELETE", f"/api/projects/{walk.project}/")


def far_from(findings: list[Finding], tissue: np.ndarray) -> Point:
    """The pixel of the breast that is farthest from all findings: a click there is about none of them."""
    away = np.ones(tissue.shape, np.uint8)
    for finding in findings:
        away[finding.box.slices] = 0
    distance = cv2.distanceTransform(away, cv2.DIST_L2, 5) * tissue
    y, x = divmod(int(np.argmax(distance)), tissue.shape[1])
    assert distance[y, x] > 100  # 7 mm
    return Point(x, y)


def middle_of(finding: Finding) -> Point:
    """The pixel of a finding that lies next to its middle."""
    assert finding.mask is not None
    rows, columns = np.nonzero(finding.mask.bitmap)
    middle = int(np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean())))
    return Point(int(columns[middle]) + finding.mask.x0, int(rows[middle]) + finding.mask.y0)


def same(one: Finding, other: Finding) -> bool:
    both = one.mask is not None and other.mask is not None and one.mask.dice(other.mask) == 1
    return (one.id, one.box, both) == (other.id, other.box, True)


def test_a_prelabel_that_is_submitted_untouched_comes_back_as_the_findings_that_were_sent(ward: Ward) -> None:
    ward.open("untouched")
    ward.screen.shot("findings-1-untouched")
    findings = ward.findings("untouched")
    assert findings
    assert ward.screen.count("polygon") == len(findings)
    assert ward.screen.count("rectangle") == ward.screen.count("brush") == ward.screen.count("keypoint") == 0
    back = from_regions(ward.submit("untouched"), tags=TAGS)
    assert len(back) == len(findings)
    assert all(same(one, other) for one, other in zip(back, findings, strict=True))
    changes = ward.trace("untouched").history[-1].changes
    assert [change.kind for change in changes or []] == ["accepted"] * len(findings)


def test_a_click_and_a_key_delete_one_of_three_findings_and_leave_the_others_as_they_were(ward: Ward) -> None:
    ward.open("deleted")
    findings = ward.findings("deleted")
    assert len(findings) >= 3
    gone = max(findings, key=lambda finding: finding.score)
    inside = middle_of(gone)
    screen = ward.screen
    view = screen.zoom_in(inside, scale=1.5)
    screen.page.mouse.click(*view.on_screen(inside))
    screen.shot("findings-2-selected")
    screen.press("Backspace")
    screen.shot("findings-3-deleted")
    assert screen.count("polygon") == len(findings) - 1
    described = next(each for each in findings if each is not gone)
    inside = middle_of(described)
    screen.page.mouse.click(*screen.zoom_in(inside, scale=1.5).on_screen(inside))
    for key in ("Shift+V", "g", "q"):
        screen.press(key)
    screen.shot("findings-3-described")
    screen.press("Escape")
    for key in ("Shift+W", "Shift+E", "Shift+E"):
        screen.press(key)
    screen.shot("findings-3-exam-described")
    back = {finding.id: finding for finding in from_regions(ward.submit("deleted"), tags=TAGS)}
    left = {finding.id: finding for finding in findings if finding is not gone}
    assert back.keys() == left.keys()
    assert all(same(back[name], left[name]) for name in left)
    words = {"morphology": "vascular", "distribution": "grouped", "suspicion": "2"}
    assert {name: each.descriptors for name, each in back.items() if each.descriptors} == {
        described.id: words
    }
    changes = ward.trace("deleted").history[-1].changes or []
    assert {change.finding: change.kind for change in changes} == dict.fromkeys(left, "accepted") | {
        gone.id: "deleted"
    }


def test_a_click_asks_for_an_outline_that_is_kept_as_it_was_shown(ward: Ward) -> None:
    ward.open("clicked")
    screen = ward.screen
    proposed, shown = ward.findings("clicked"), screen.count("polygon")
    here = far_from(proposed, ward.tissue["clicked"])
    screen.page.get_by_text("Auto-Annotation").click()
    screen.zoom_in(here, scale=1.5)
    screen.choose_smart_tool("key-point-tool")
    screen.take("1")
    region = screen.ask(lambda: screen.click(here))
    screen.shot("findings-4-asked")
    assert (region["type"], region["from_name"]) == ("polygonlabels", "outline")
    (asked,) = from_regions([region], tags=TAGS)
    assert asked.mask is not None
    assert asked.mask.holds(here)
    screen.accept()
    screen.shot("findings-5-accepted")
    assert screen.count("polygon") == shown + 1
    back = {finding.id: finding for finding in from_regions(ward.submit("clicked"), tags=TAGS)}
    assert back.keys() == {finding.id for finding in proposed} | {asked.id}
    kept = back[asked.id].mask
    assert kept is not None
    assert kept.dice(asked.mask) == 1


def test_a_dataset_version_holds_exactly_what_was_meant(ward: Ward) -> None:
    dataset = built(ward)
    items = {item.task_id: item for item in dataset.items}
    assert set(items) == set(ward.tasks.values())
    assert dataset.excluded == ()
    counts = {name: len(items[task].truth) for name, task in ward.tasks.items()}
    assert counts == {
        "untouched": len(ward.findings("untouched")),
        "deleted": len(ward.findings("deleted")) - 1,
        "clicked": len(ward.findings("clicked")) + 1,
    }
    item = items[ward.tasks["deleted"]]
    assert (item.density, item.assessment) == ("a", None)
    assert [each.descriptors["morphology"] for each in item.truth if each.descriptors] == ["vascular"]
    assert (dataset.num_unexplained, dataset.num_crumbs, dataset.num_deleted) == (0, 0, 0)


def built(ward: Ward) -> DatasetVersion:
    settings = ward.walk.stack.settings
    engine = open_database(settings.database)
    images = TaskImages(
        root=settings.mammogram_root,
        downloads=ImageDownloads.of(settings, ward.walk.client),
        patient_secret=SECRET,
    )
    with closing(AnnotationStore(engine)) as store:
        return build_dataset_version(
            store,
            engine,
            Blobs(settings.blobs),
            project=ward.walk.project,
            open_image=images.open,
            options=ReadOptions(tags=TAGS, prefer=PREFERENCE, with_automatic=False, secret=SECRET),
        )
