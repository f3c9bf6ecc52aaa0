"""An annotator at work with the brush, on a full-field mammogram of 3328 x 4096; tests in order, one page.

Outlines, the default, are in `test_findings.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.dicom import write_mammogram
from mammo.exchange.importing import import_mammogram
from mammo.geometry import Point, Size
from mammo.labelstudio import rle
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.masks import Mask, union
from mammo.phantom import PhantomView, phantom_view, vendor_a
from tests.e2e.screen import Screen, View, brushed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SIZE = Size(3328, 4096)
BRUSH_CONFIG = re.sub(r"<PolygonLabels.*?</PolygonLabels>", "", labeling_config(), flags=re.DOTALL)
"""Without outlines masks are painted."""

TAGS = ControlTags.read(BRUSH_CONFIG)

SCALE = 3.0
"""Least screen pixels of one image pixel where pixels are compared."""


@dataclass
class Desk:
    """The annotator's screen, the task on it, and what he did so far."""

    screen: Screen
    walk: Walk
    task: int
    phantom: PhantomView
    prediction: dict[str, Any]
    twin: np.ndarray
    accepted: dict[str, Mask] = field(default_factory=dict)
    """Masks of the suggestions that were accepted, by region id."""


@pytest.fixture(scope="module")
def desk(running_stack: Stack, browser: Browser) -> Iterator[Desk]:
    """A project with one mammogram, opened by somebody who has logged in."""
    walk = Walk(running_stack)
    walk.create_project(BRUSH_CONFIG)
    phantom = phantom_view(
        42, clusters=2, appearance=vendor_a(), spacing_mm=0.05, width=SIZE.width, height=SIZE.height
    )
    root = running_stack.settings.mammogram_root
    assert root is not None
    file, server = root / "annotator.dcm", running_stack.label_studio
    write_mammogram(
        file,
        phantom.stored,
        laterality="L",
        view="CC",
        spacing_mm=phantom.spacing_mm,
        bits=phantom.bits,
        patient_id="PHANTOM-ANNOTATOR",
        entropy="annotator",
        syntax="rle",
    )
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    try:
        data = import_mammogram(file, root=root, files=server.files, patient_secret=b"annotator")
        walk.client.import_tasks(walk.project, [data])
        ((task, *_),) = [[each["id"] for each in walk.client.tasks(walk.project)]]
        screen = Screen(page, SIZE)
        screen.log_in(server)
        screen.open(server, walk.project, task)  # Label Studio asks the backend for a prediction now
        # A browser that waits long asks twice, and Label Studio keeps both answers, which are the same.
        prediction, *again = walk.client.predictions(task)
        assert [each["result"] for each in again] == [prediction["result"]] * len(again)
        twin = cv2.imread(str(next(server.files.rglob(f"{data['sha256']}.png"))), cv2.IMREAD_GRAYSCALE)
        yield Desk(screen, walk, task, phantom, prediction, twin)
    finally:
        page.close()
        file.unlink()
        walk.client.call("DELETE", f"/api/projects/{walk.project}/")


def mask_of(region: dict[str, Any]) -> Mask:
    found = rle.decode(region["value"]["rle"], size=SIZE)
    assert found is not None
    return found


def num_regions(desk: Desk) -> int:
    """Of the prelabel and of what was accepted; what corrects a finding of the prelabel is no region more."""
    return len({region["id"] for region in desk.prediction["result"]} | desk.accepted.keys())


def compare(desk: Desk, view: View, masks: list[Mask], name: str) -> None:
    """What the browser paints, mapped back to the image's pixels, is the mask to within one pixel; so is the image."""
    shown = desk.screen.shot(name)
    with desk.screen.hidden_regions():
        bare = desk.screen.shot(f"{name}-bare")
    visible = view.visible(SIZE)
    together = union(masks)
    assert together is not None
    expected = together.full(SIZE)[visible.slices]
    assert expected.any(), f"nothing of the mask is in view at {visible}"
    brush, other = brushed(view.sample(shown, visible), view.sample(bare, visible))
    cross = np.ones((3, 3), np.uint8)
    missing = cv2.erode(expected, cross, borderValue=1).astype(bool) & ~brush & ~other
    spilled = brush & ~cv2.dilate(expected, cross).astype(bool)
    assert other.mean() < 0.1, "boxes and key points cover too much to compare"
    assert not missing.sum(), (
        f"{missing.sum()} of {expected.sum()} mask pixels, more than one inside, are not painted"
    )
    assert not spilled.sum(), f"{spilled.sum()} painted pixels lie more than one pixel outside the mask"
    assert brush.sum() > 0.8 * expected.sum()
    grey = view.sample(bare, visible)[..., 0]
    errors = {}
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            moved = desk.twin[visible.y0 + dy : visible.y1 + dy, visible.x0 + dx : visible.x1 + dx]
            errors[dx, dy] = float(np.abs(moved - grey).mean())
    assert min(errors, key=lambda shift: errors[shift]) == (0, 0), (
        "the image itself is displaced on the screen"
    )


def test_a_prelabel_is_painted_on_its_pixels(desk):
    findings = [finding for finding in from_regions(desk.prediction["result"], tags=TAGS) if finding.mask]
    assert any(finding.box.iou(true.box) > 0.1 for finding in findings for true in desk.phantom.truth)
    desk.screen.shot("annotator-1-opened")
    assert desk.screen.count("brush") == len(findings), "one region a finding"
    assert desk.screen.count("rectangle") == desk.screen.count("keypoint") == 0
    largest = max(findings, key=lambda finding: finding.mask.area)
    view = desk.screen.zoom_in(Point(*map(int, largest.box.centre)), scale=SCALE)
    compare(desk, view, [finding.mask for finding in findings], "annotator-2-prelabel")


def test_tools_are_at_hand_and_prompts_apart_from_findings(desk):
    page = desk.screen.page
    for tool in ("zoom-in", "zoom-out", "pan", "brightness", "contrast", "brush-tool", "eraser"):
        assert page.locator(f".lsf-toolbar [aria-label={tool}]").count() == 1, tool
    labels = page.locator("[class*=lsf-label_]:has([class*=label__hotkey]), .lsf-label")
    words = [" ".join(text.split()) for text in labels.all_inner_texts()]
    assert words == ["Click 1", "Box 2", "Box 3", "Mask 4", "Point 6"]
    headers = page.get_by_text("Ask the model"), page.get_by_text("Findings", exact=True)
    tops = [header.bounding_box()["y"] for header in headers]
    heights = [labels.nth(number).bounding_box()["y"] for number in range(len(words))]
    assert tops[0] < heights[0] < heights[1] < tops[1] < min(heights[2:])
    for place, word in enumerate(words[2:], 2):
        desk.screen.press(word[-1])
        assert "selected" in (labels.nth(place).get_attribute("class") or ""), word
    desk.screen.press("v")
    desk.screen.press("Shift+Digit2")
    assert desk.screen.view().scale == pytest.approx(1.0, abs=0.01)
    left = desk.screen.view().x
    desk.screen.press("h")
    page.mouse.move(700, 500)
    page.mouse.down()
    page.mouse.move(600, 450, steps=5)
    page.mouse.up()
    assert desk.screen.view().x == pytest.approx(left - 100, abs=5)
    desk.screen.press("v")
    desk.screen.press("Shift+Digit1")
    assert desk.screen.view().scale < 0.25


def test_a_click_and_a_click_beside_become_a_mask(desk):
    screen, cluster = desk.screen, desk.phantom.truth[0]
    speck = min(
        (speck for speck in desk.phantom.calcifications if cluster.box.intersection(speck.frame)),
        key=lambda speck: abs(speck.frame.centre[0] - cluster.box.centre[0]),
    )
    here = Point(*map(int, speck.frame.centre))
    screen.page.get_by_text("Auto-Annotation").click()
    view = screen.zoom_in(here, scale=SCALE)
    screen.choose_smart_tool("key-point-tool")
    screen.take("1")
    first = screen.ask(lambda: screen.click(here))
    label = screen.page.locator(".lsf-label").first
    assert "selected" not in (label.get_attribute("class") or ""), "a label is put down after each click"
    rows, columns = np.nonzero(mask_of(first).full(SIZE))
    far = int(np.argmax(np.hypot(rows - here.y, columns - here.x)))
    screen.take("1")
    away = Point(int(columns[far]), int(rows[far]))
    second = screen.ask(lambda: screen.click(away, negative=True))
    screen.shot("annotator-3-suggested")
    signs = {region["id"]: region["is_positive"] for region in screen.asked[-1] if "is_positive" in region}
    assert list(signs.values()) == [True, False]
    assert second["id"] == first["id"], "more clicks refine one region"
    held = mask_of(second).full(SIZE)
    assert (held[here.y, here.x], held[away.y, away.x]) == (1, 0), "what was clicked holds"
    assert mask_of(second).intersection_area(cluster.mask) > 0
    screen.accept()
    desk.accepted[second["id"]] = mask_of(second)
    assert screen.count("brush") == num_regions(desk)
    prelabelled = [
        finding.mask
        for finding in from_regions(desk.prediction["result"], tags=TAGS)
        if finding.mask and finding.id not in desk.accepted
    ]
    compare(desk, view, [*prelabelled, mask_of(second)], "annotator-4-accepted")


def test_the_same_click_again_leaves_one_region(desk):
    screen = desk.screen
    newest = [region for region in screen.asked[0] if "is_positive" in region][-1]["value"]
    here = Point(int(newest["x"] * SIZE.width / 100), int(newest["y"] * SIZE.height / 100))
    screen.take("1")
    again = screen.ask(lambda: screen.click(here))
    assert [again["id"]] == list(desk.accepted)
    assert mask_of(again).holds(here)
    assert mask_of(again).area >= desk.accepted[again["id"]].area, "a click on the lesion takes nothing away"
    screen.accept()
    desk.accepted[again["id"]] = mask_of(again)
    assert screen.count("brush") == num_regions(desk)


def test_a_box_becomes_a_mask(desk):
    screen, cluster = desk.screen, desk.phantom.truth[1]
    screen.press("Shift+Digit1")
    screen.choose_smart_tool("rectangle-tool")
    screen.take("2")
    region = screen.ask(lambda: screen.drag(cluster.box.dilated(40)))
    assert mask_of(region).intersection_area(cluster.mask) > 0
    screen.accept()
    desk.accepted[region["id"]] = mask_of(region)
    assert screen.count("brush") == num_regions(desk)
    screen.shot("annotator-5-box")


def test_a_narrow_box_becomes_the_outline_of_one_calcification(desk):
    screen, inside = desk.screen, [speck for speck in desk.phantom.calcifications if speck.frame.width == 5]
    speck = max(inside, key=lambda each: each.area * (each.frame.height <= 5))
    view = screen.zoom_in(Point(*map(int, speck.frame.centre)), scale=2 * SCALE)
    screen.choose_smart_tool("rectangle-tool")
    screen.take("2")
    region = screen.ask(lambda: screen.drag(speck.frame.dilated(1)))
    outline = mask_of(region)
    assert view.visible(SIZE).intersection(outline.frame) == outline.frame
    assert outline.dice(speck) > 0.4
    assert not any("guess" in note for note in region["meta"].get("text", ()))
    screen.accept()
    desk.accepted[region["id"]] = outline
    assert screen.count("brush") == num_regions(desk)
    screen.shot("annotator-6-calcification")


def test_what_was_shown_is_what_is_stored(desk):
    page, before = desk.screen.page, {region["id"]: region for region in desk.prediction["result"]}
    with page.expect_response(
        lambda r: r.request.method == "POST" and f"/api/tasks/{desk.task}/annotations" in r.url,
        timeout=120_000,
    ) as saved:
        page.get_by_role("button", name="Submit").click()
    assert saved.value.status == 201
    (stored,) = desk.walk.client.annotations(desk.task)
    result = {region["id"]: region for region in stored["result"]}
    assert len(result) == len(stored["result"]), "a region is stored twice"
    assert set(result) == set(before) | set(desk.accepted), (
        "the prelabel and what was accepted; no prompt stays"
    )
    for name, region in before.items():
        if name in desk.accepted:
            continue
        now, then = result[name]["value"], region["value"]
        # A region that was clicked is encoded anew: the bytes may differ, the pixels may not.
        pixels, sent = mask_of(result[name]), mask_of(region)
        assert (pixels.frame, pixels.bitmap.tolist()) == (sent.frame, sent.bitmap.tolist()), (
            "changed by itself"
        )
        assert now | {"rle": None} == then | {"rle": None}
    for name, mask in desk.accepted.items():
        kept = mask_of(result[name])
        assert (kept.frame, kept.area) == (mask.frame, mask.area)
        assert np.array_equal(kept.bitmap, mask.bitmap)
        assert result[name]["from_name"] == "mask"
    with closing(AnnotationStore(open_database(desk.walk.stack.settings.database))) as store:
        assert len(store.corrections(desk.walk.project)) == 1


def test_a_mask_that_is_chosen_in_the_list_is_enlarged_by_the_brush(desk):
    screen = desk.screen
    screen.open(desk.walk.stack.label_studio, desk.walk.project, desk.task)
    (stored,) = desk.walk.client.annotations(desk.task)
    before = {region["id"]: mask_of(region) for region in stored["result"] if region["type"] == "brushlabels"}
    name = max(before, key=lambda each: before[each].area)
    frame = before[name].frame
    view = screen.zoom_in(Point(frame.x1, frame.y1), scale=1.0)
    script = "() => window.Htx.annotationStore.selected.regions.map(region => region.cleanId)"
    place = screen.page.evaluate(script).index(name)
    screen.page.locator(".lsf-outliner-item").nth(place).click()
    screen.press("b")
    screen.page.mouse.move(*view.on_screen(Point(frame.x1 - 5, frame.y1 - 5)))
    screen.page.mouse.down()
    screen.page.mouse.move(*view.on_screen(Point(frame.x1 + 60, frame.y1 + 60)), steps=8)
    screen.page.mouse.up()
    screen.press("Escape")
    screen.shot("annotator-7-enlarged")
    with screen.page.expect_response(
        lambda r: r.request.method == "PATCH" and f"/api/annotations/{stored['id']}" in r.url,
        timeout=120_000,
    ):
        screen.page.get_by_test_id("bottombar-update-button").click()
    (now,) = desk.walk.client.annotations(desk.task)
    after = {region["id"]: mask_of(region) for region in now["result"] if region["type"] == "brushlabels"}
    assert after.keys() == before.keys(), "no mask more"
    assert after[name].area > before[name].area
