"""Ward: a project of single mammograms of three clusters each in the real Label Studio, and the page of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.dicom import read_mammogram, write_mammogram
from mammo.exchange.importing import import_mammogram
from mammo.findings import Finding
from mammo.geometry import Point, Size
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ModelRegistry
from mammo.phantom import phantom_view, vendor_a
from mammo.prompts import AIR
from mammo.trace import Trace, trace
from tests.e2e.screen import PATIENCE, Screen

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZE = Size(1664, 2048)
CONFIG = image_config()
TAGS = ControlTags.read(CONFIG)
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


@contextmanager
def open_ward(stack: Stack, browser: Browser, *, seeds: Mapping[str, int]) -> Iterator[Ward]:
    """A project of ours with mammograms of three clusters each, prelabelled when they are opened, by their names."""
    walk = Walk(stack)
    walk.create_project(CONFIG)
    root, server = stack.settings.mammogram_root, stack.label_studio
    assert root is not None
    data, tissue, files = {}, {}, []
    for name, seed in seeds.items():
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
        tissue[name] = tissue_of(files[-1], margin=100)
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


def tissue_of(file: Path, *, margin: int) -> np.ndarray:
    """H x W bool of a mammogram: True in the breast, at least `margin` pixels from its edge."""
    inside = (read_mammogram(file).pixels > AIR).astype(np.uint8)
    side = 2 * margin + 1
    return cv2.erode(inside, np.ones((side, side), np.uint8), borderValue=0).astype(np.bool_)


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
