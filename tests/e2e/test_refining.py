"""A click corrects an outline that is there; in a real browser, followed to the trace. In order, one page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.dicom import write_mammogram
from mammo.exchange.importing import import_mammogram
from mammo.findings import Finding
from mammo.geometry import Point, Size
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.masks import Mask
from mammo.models import ModelRegistry
from mammo.phantom import phantom_view, vendor_a
from mammo.trace import trace
from tests.e2e.screen import PATIENCE, Screen

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SIZE = Size(1664, 2048)
SECRET = b"the refining"
DETAILS = """
  <Choices name="morphology" toName="image" perRegion="true"><Choice value="amorphous"/></Choices>
  <Relations><Relation value="same lesion"/></Relations>"""
CONFIG = labeling_config().replace("<TextArea", f"{DETAILS}<TextArea", 1)
TAGS = ControlTags.read(CONFIG)

_RESULT = "() => window.Htx.annotationStore.selected.serializeAnnotation()"


@dataclass
class Desk:
    """The screen, and the task on it."""

    screen: Screen
    walk: Walk
    task: int
    findings: list[Finding]
    """What the model proposed."""

    @property
    def largest(self) -> Finding:
        return max(self.findings, key=lambda each: each.mask.area if each.mask else 0)

    def result(self) -> list[dict[str, Any]]:
        """What the annotation on the screen holds."""
        return list(self.screen.page.evaluate(_RESULT))

    def outline(self, name: str) -> Mask:
        (finding,) = [each for each in from_regions(self.result(), tags=TAGS) if each.id == name]
        assert finding.mask is not None
        return finding.mask


@pytest.fixture(scope="module")
def desk(running_stack: Stack, browser: Browser) -> Iterator[Desk]:
    """A project with per-region choices and relations, one mammogram of three clusters, prelabelled."""
    walk = Walk(running_stack)
    walk.create_project(CONFIG)
    root, server = running_stack.settings.mammogram_root, running_stack.label_studio
    assert root is not None
    phantom = phantom_view(422, clusters=3, appearance=vendor_a(), width=SIZE.width, height=SIZE.height)
    file = root / "refining.dcm"
    write_mammogram(
        file,
        phantom.stored,
        laterality="L",
        view="CC",
        spacing_mm=phantom.spacing_mm,
        bits=phantom.bits,
        patient_id="PHANTOM-REFINING",
        entropy="refining",
    )
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    try:
        data = import_mammogram(file, root=root, files=server.files, patient_secret=SECRET)
        walk.client.import_tasks(walk.project, [data])
        ((task, *_),) = [[each["id"] for each in walk.client.tasks(walk.project)]]
        screen = Screen(page, SIZE)
        screen.log_in(server)
        screen.open(server, walk.project, task)  # Label Studio asks the backend for a prediction now
        described = with_details(walk.client.predictions(task)[0])
        for each in walk.client.predictions(task):
            walk.client.call("DELETE", f"/api/predictions/{each['id']}/")
        walk.client.push_prediction(task, described)
        screen.open(server, walk.project, task)
        yield Desk(screen, walk, task, from_regions(described["result"], tags=TAGS))
    finally:
        page.close()
        file.unlink()
        walk.client.call("DELETE", f"/api/projects/{walk.project}/")


def with_details(prediction: dict[str, Any]) -> dict[str, Any]:
    """Add a morphology to every finding, and links that reach all of them."""
    outlines = [each for each in prediction["result"] if each["type"] == "polygonlabels"]
    details = [
        {key: each[key] for key in ("id", "to_name", "original_width", "original_height", "image_rotation")}
        | {
            "from_name": "morphology",
            "type": "choices",
            "value": {"points": each["value"]["points"], "closed": True, "choices": ["amorphous"]},
        }
        for each in outlines
    ]
    links = [
        {
            "type": "relation",
            "from_id": one["id"],
            "to_id": other["id"],
            "direction": "bi",
            "labels": ["same lesion"],
        }
        for one, other in pairwise(outlines)
    ]
    return {
        "result": [*outlines, *details, *links],
        "score": prediction["score"],
        "model_version": prediction["model_version"],
    }


def near_the_edge(mask: Mask) -> Point:
    """A pixel 12 pixels inside the mask, seen from its outline towards its middle."""
    edge = np.array([(point.x, point.y) for point in mask.outline()], float)
    middle = np.array(mask.frame.centre)
    farthest = edge[np.argmax(np.hypot(*(edge - middle).T))]
    return Point(*map(int, farthest + 12 * (middle - farthest) / np.linalg.norm(middle - farthest)))


def names_and_details(result: list[dict[str, Any]]) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Ids of the outlines, ids of those with a morphology, links."""
    return (
        sorted(each["id"] for each in result if each["type"] == "polygonlabels"),
        sorted(each["id"] for each in result if each["type"] == "choices"),
        sorted((each["from_id"], each["to_id"]) for each in result if each["type"] == "relation"),
    )


def test_a_negative_click_replaces_a_prelabel_by_a_smaller_one_and_undo_brings_it_back(desk: Desk) -> None:
    screen, finding = desk.screen, desk.largest
    assert finding.mask is not None
    before = desk.result()
    here = near_the_edge(finding.mask)
    screen.page.get_by_text("Auto-Annotation").click()
    # A suggestion for a linked outline must not wait, or the page shows an error instead of the image.
    screen.page.get_by_text("Auto-Accept Suggestions").click()
    screen.zoom_in(here, scale=1.5)
    screen.choose_smart_tool("key-point-tool")
    screen.take("1")
    region = screen.ask(lambda: screen.click(here, negative=True), waits=False)
    assert region["id"] == finding.id
    screen.shot("refining-accepted")
    assert screen.page.locator(".konvajs-content canvas").count() > 0
    assert names_and_details(desk.result()) == names_and_details(before)
    smaller = desk.outline(finding.id)
    assert not smaller.holds(here)
    assert smaller.area < finding.mask.area
    screen.press("Control+z")
    assert desk.outline(finding.id).dice(finding.mask) == 1
    assert names_and_details(desk.result()) == names_and_details(before)
    screen.press("Control+Shift+z")
    assert desk.outline(finding.id).dice(smaller) == 1


def test_the_trace_says_that_the_finding_was_changed_and_no_other(desk: Desk) -> None:
    page = desk.screen.page
    with page.expect_response(
        lambda r: r.request.method == "POST" and f"/api/tasks/{desk.task}/annotations" in r.url,
        timeout=PATIENCE,
    ) as saved:
        page.keyboard.press("Control+Enter")
    assert saved.value.status == 201
    engine = open_database(desk.walk.stack.settings.database)
    with closing(AnnotationStore(engine)) as store:
        (correction,) = store.corrections(desk.walk.project)
        traced = trace(
            correction.annotation_id,
            store=store,
            engine=engine,
            registry=ModelRegistry(engine, desk.walk.stack.settings.blobs),
            secret=SECRET,
            tags=lambda _project: TAGS,
        )
    kinds = {change.finding: change.kind for change in traced.history[-1].changes or []}
    assert kinds == {each.id: "accepted" for each in desk.findings} | {desk.largest.id: "reshaped"}
    (sent,) = desk.walk.client.annotations(desk.task)
    assert "amorphous" in str([each for each in sent["result"] if each.get("id") == desk.largest.id])


def test_a_suggestion_for_a_linked_outline_that_waits_breaks_the_page_until_it_is_loaded_again(
    desk: Desk,
) -> None:
    screen, page = desk.screen, desk.screen.page
    screen.open(desk.walk.stack.label_studio, desk.walk.project, desk.task)
    page.get_by_text("Auto-Accept Suggestions").click()
    here = near_the_edge(desk.outline(desk.largest.id))
    screen.zoom_in(here, scale=1.5)
    screen.choose_smart_tool("key-point-tool")
    screen.take("1")
    screen.ask(lambda: screen.click(here, negative=True), waits=False)
    screen.shot("refining-broken")
    assert page.locator(".konvajs-content canvas").count() == 0
    screen.open(desk.walk.stack.label_studio, desk.walk.project, desk.task)
    assert page.locator(".konvajs-content canvas").count() > 0
