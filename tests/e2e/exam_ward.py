"""Ward: a project of exams of phantoms in the real Label Studio, prelabelled, and the page of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from benchmarks.phantom_exams import exam_data, exam_views
from cli.demo.stack import Stack
from cli.demo.walk import TWINS, Walk
from cli.project.connecting import ProjectOptions, create_project
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.exam_views import ExamView
from mammo.findings import Finding
from mammo.geometry import Point, Size
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ModelRegistry
from mammo.trace import Trace, trace
from tests.e2e.conftest import ARTIFACTS
from tests.e2e.screen import PATIENCE, Screen, box_at_rest, forget_drafts
from training.cases import silent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZE = Size(1280, 1664)
CONFIG = exam_config()
TAGS = ControlTags.read(CONFIG)
IMAGES = {each.image: each for each in (TAGS, *TAGS.siblings)}
SEED = 441
SECRET = b"the exam"

RESULTS = """() => {
    const annotation = window.Htx?.annotationStore?.selected;
    return annotation ? JSON.parse(JSON.stringify(annotation.serializeAnnotation())) : [];
}"""


@dataclass
class Ward:
    """A project of exams: one of four views, and one that lacks a view."""

    walk: Walk
    page: Page
    whole: int
    """Id of the task with all views."""

    partial: int
    """Id of the task without LCC."""

    def data(self, task: int) -> dict[str, Any]:
        return dict(self.walk.client.task(task)["data"])

    def prediction(self, task: int) -> dict[str, Any]:
        (prediction,) = self.walk.client.predictions(task)
        return dict(prediction)

    def findings(self, view: ExamView) -> list[Finding]:
        """What the model proposed on one view of the whole exam."""
        return from_regions(self.prediction(self.whole)["result"], tags=IMAGES[view.name])

    def open(self, task: int) -> None:
        """Show a task as the model left it: Label Studio kept a draft of what was pressed on it before."""
        forget_drafts(self.page, self.walk.client, task)
        url = f"{self.walk.stack.label_studio.url}/projects/{self.walk.project}/data?task={task}"
        self.page.goto(url, wait_until="domcontentloaded", timeout=PATIENCE)
        self.page.wait_for_function(f"({RESULTS})().length > 0", timeout=PATIENCE)
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.view img')].filter(i => i.complete && i.width > 90).length >= 3",
            timeout=PATIENCE,
        )
        self.page.wait_for_timeout(1500)

    def results(self) -> list[dict[str, Any]]:
        """What the page would submit now."""
        return list(self.page.evaluate(RESULTS))

    def width(self, view: str) -> float:
        box = self.page.locator(f".view-{view}").bounding_box()
        assert box is not None
        return float(box["width"])

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.page.wait_for_timeout(400)

    def click_inside(self, view: ExamView, finding: Finding) -> None:
        """Click the pixel of a finding that lies next to its middle."""
        assert finding.mask is not None
        rows, columns = np.nonzero(finding.mask.bitmap)
        middle = int(np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean())))
        x, y = int(columns[middle]) + finding.mask.x0, int(rows[middle]) + finding.mask.y0
        self.page.mouse.click(*self.on_screen(view.name, Point(x, y)))
        self.page.wait_for_timeout(600)

    def on_screen(self, view: str, point: Point) -> tuple[float, float]:
        """Middle of a pixel of a view, in pixels of the screen."""
        box = box_at_rest(self.page.locator(f".view-{view} img").first)
        scale = box["width"] / SIZE.width
        return box["x"] + (point.x + 0.5) * scale, box["y"] + (point.y + 0.5) * scale

    def shot(self, name: str) -> None:
        self.page.mouse.move(5, 5)
        self.page.wait_for_timeout(700)
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"{name}.png", timeout=PATIENCE)

    def traced(self) -> Trace:
        """The trace of the annotation of the whole exam."""
        settings = self.walk.stack.settings
        engine = open_database(settings.database)
        with closing(AnnotationStore(engine)) as store:
            (correction,) = store.corrections(self.walk.project)
            return trace(
                correction.annotation_id,
                store=store,
                engine=engine,
                registry=ModelRegistry(engine, settings.blobs),
                secret=SECRET,
                tags=lambda _project: TAGS,
            )


def data_of(
    stack: Stack, patient: str, *, missing: str = "", prior: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Data of the task of a patient with two clusters in each breast, and an earlier exam."""
    clusters = {"L": 2, "R": 2}
    views = exam_views(
        stack, patient, seed=SEED, size=SIZE, clusters=clusters, secret=SECRET, missing=missing
    )
    return exam_data(views, prior=prior)


@contextmanager
def open_ward(stack: Stack, browser: Browser, *, title: str, patients: tuple[str, str]) -> Iterator[Ward]:
    """Make a project by the command, and prelabel two exams by the job; the second, without LCC, is the earlier one."""
    walk = Walk(stack)
    twins = stack.label_studio.files.resolve() / TWINS
    twins.mkdir(exist_ok=True)
    options = ProjectOptions(title=title, url=stack.backend_url, local=twins)
    walk.project = create_project(options, site=stack.site, console=Console(quiet=True))
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    try:
        earlier = data_of(stack, patients[1], missing="LCC")
        data = [data_of(stack, patients[0], prior=earlier), earlier]
        whole, partial = walk.client.import_tasks(walk.project, data)
        walk.cases = {}
        walk.prelabel(silent)
        Screen(page, SIZE).log_in(stack.label_studio)
        yield Ward(walk, page, whole, partial)
    finally:
        page.close()
        for patient in patients:
            for file in (stack.settings.mammogram_root or twins).glob(f"exam-{patient}-*.dcm"):
                file.unlink()
        walk.client.call("DELETE", f"/api/projects/{walk.project}/")
