"""Findings are drawn by hand with every tool of a project of single images, in a real browser. In order, one page.

What the model proposes is deleted where it would be in the way; `docs/annotators.md` says what is tried here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from cli.demo.stack import Stack
from mammo.findings import Finding
from mammo.geometry import Box, Point
from mammo.identifiers import pseudonym
from mammo.labelstudio.interpretation import from_regions
from mammo.second_looks import LabelDoubt
from tests.e2e.image_ward import TAGS, Ward, far_from, middle_of, open_ward
from tests.e2e.screen import PATIENCE, box_at_rest, leave_switch
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SEEDS = {"drawn": 424, "not taken": 425, "empty": 426}
NEAR = 50
"""Pixels beside an outline, 3.5 mm: a click there would be about that outline."""

_RESULT = "() => JSON.parse(JSON.stringify(window.Htx.annotationStore.selected.serializeAnnotation()))"
_GRADE = "name => window.Htx.annotationStore.selected.names.get('image')[name + 'Grade']"


@pytest.fixture(scope="module")
def ward(running_stack: Stack, browser: Browser) -> Iterator[Ward]:
    with open_ward(running_stack, browser, seeds=SEEDS) as ward:
        yield ward


def result(ward: Ward) -> list[dict[str, Any]]:
    """What the page would submit now."""
    return list(ward.screen.page.evaluate(_RESULT))


def found(ward: Ward) -> dict[str, Finding]:
    """The findings that it means, by their ids."""
    return {finding.id: finding for finding in from_regions(result(ward), tags=TAGS)}


def rest(ward: Ward, milliseconds: int = 500) -> None:
    ward.screen.page.wait_for_timeout(milliseconds)


def outline(ward: Ward, middle: Point, radius: int) -> None:
    """Take the tool, click four corners, and the first again."""
    x, y = middle.x, middle.y
    corners = [Point(x - radius, y), Point(x, y - radius), Point(x + radius, y), Point(x, y + radius)]
    ward.screen.press("5")
    for corner in [*corners, corners[0]]:
        ward.screen.page.mouse.click(*ward.screen.view().on_screen(corner))
        rest(ward, 300)
    ward.screen.press("Escape")


def stroke(ward: Ward, start: Point, end: Point) -> None:
    """Drag from one pixel to another."""
    view, mouse = ward.screen.view(), ward.screen.page.mouse
    mouse.move(*view.on_screen(start))
    mouse.down()
    mouse.move(*view.on_screen(end), steps=8)
    mouse.up()
    rest(ward)


def choose_in_list(ward: Ward, name: str) -> None:
    """Choose a region in the list of regions."""
    place = ward.screen.page.evaluate(
        "name => window.Htx.annotationStore.selected.regions.findIndex(each => each.cleanId === name)", name
    )
    ward.screen.page.locator(".lsf-outliner-item").nth(place).click()
    rest(ward)


def auto_annotate(ward: Ward) -> None:
    """Switch it on, unless the browser remembers that it is."""
    if ward.screen.page.evaluate("() => localStorage.getItem('autoAnnotation')") != "true":
        ward.screen.page.get_by_text("Auto-Annotation").click()
        rest(ward)


def new(ward: Ward, before: dict[str, Finding]) -> Finding:
    """The one finding that was not there before."""
    (finding,) = [each for name, each in found(ward).items() if name not in before]
    return finding


def away(ward: Ward, name: str) -> Point:
    """A place in the breast that is far from what the model proposed."""
    return far_from(ward.findings(name), ward.tissue[name])


def test_brightness_and_contrast_follow_their_sliders(ward: Ward) -> None:
    ward.open("drawn")
    page = ward.screen.page
    for tool in ("brightness", "contrast"):
        before = page.evaluate(_GRADE, tool)
        page.locator(f".lsf-toolbar [aria-label={tool}]").hover()
        rest(ward)
        box = box_at_rest(
            page.locator(".lsf-toolbar .lsf-range:visible, .lsf-toolbar .ant-slider:visible").first
        )
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 0.1 * box["height"])
        rest(ward)
        assert page.evaluate(_GRADE, tool) != before
    page.mouse.move(700, 5)


def test_a_closed_outline_is_a_finding_also_beside_another_one(ward: Ward) -> None:
    """A click there would be about the other one."""
    other, before = max(ward.findings("drawn"), key=lambda each: each.box.area), found(ward)
    beside = Point(other.box.x1 + NEAR + 40, other.box.y1)
    ward.screen.zoom_in(beside, scale=1.0)
    outline(ward, beside, radius=40)
    drawn = new(ward, before)
    assert drawn.mask is not None
    assert drawn.mask.holds(beside)
    assert before.keys() < found(ward).keys()
    ward.screen.shot("drawing-outline")


def test_the_text_of_an_outline_that_is_dragged_stays_as_it_was(ward: Ward) -> None:
    finding = max(ward.findings("drawn"), key=lambda each: each.box.area)

    def region() -> dict[str, Any]:
        return next(each for each in result(ward) if each["id"] == finding.id)

    before, screen = region(), ward.screen
    view = screen.zoom_in(middle_of(finding), scale=1.5)
    screen.page.mouse.click(*view.on_screen(middle_of(finding)))
    rest(ward)
    x, y = before["value"]["points"][0]
    corner = Point(int(x * before["original_width"] / 100), int(y * before["original_height"] / 100))
    stroke(ward, corner, Point(corner.x + 15, corner.y + 15))
    screen.press("Escape")
    assert region()["value"] != before["value"]
    assert region()["meta"]["text"] == before["meta"]["text"]


def test_a_point_is_a_finding_of_unknown_extent(ward: Ward) -> None:
    place, before = away(ward, "drawn"), found(ward)
    view = ward.screen.zoom_in(place, scale=1.0)
    ward.screen.press("6")
    ward.screen.page.mouse.click(*view.on_screen(place))
    rest(ward)
    ward.screen.press("Escape")
    point = new(ward, before)
    assert point.is_point
    assert point.box.contains(place)
    ward.screen.shot("drawing-point")
    ward.screen.press("Control+z")
    rest(ward)
    assert found(ward).keys() == before.keys()


def test_an_outline_that_a_box_meets_becomes_its_mask(ward: Ward) -> None:
    place, before, screen = away(ward, "drawn"), found(ward), ward.screen
    screen.zoom_in(place, scale=1.0)
    outline(ward, place, radius=40)
    outlined = new(ward, before)
    screen.press("3")
    stroke(ward, Point(place.x - 50, place.y - 50), Point(place.x + 50, place.y + 50))
    screen.press("Escape")
    screen.shot("drawing-box")
    boxed = new(ward, before)
    assert boxed.box.iou(Box(place.x - 50, place.y - 50, place.x + 50, place.y + 50)) > 0.9
    assert boxed.mask is not None
    assert outlined.mask is not None
    assert boxed.mask.dice(outlined.mask) == 1


def test_a_mask_is_painted_with_a_brush_that_grows_and_erased(ward: Ward) -> None:
    ward.open("not taken")
    place, before, screen = away(ward, "not taken"), found(ward), ward.screen
    screen.zoom_in(place, scale=1.0)
    screen.press("4")
    stroke(ward, Point(place.x - 60, place.y - 80), Point(place.x + 60, place.y - 80))
    thin = new(ward, before)
    screen.press("Escape")
    for _ in range(4):
        screen.press("]")
    screen.press("4")
    stroke(ward, Point(place.x - 60, place.y + 40), Point(place.x + 60, place.y + 40))
    screen.press("Escape")
    screen.shot("drawing-mask")
    thick = next(each for name, each in found(ward).items() if name not in {*before, thin.id})
    assert thin.mask is not None
    assert thick.mask is not None
    assert thick.mask.area > 1.2 * thin.mask.area
    painted = [each["id"] for each in result(ward) if each["type"] == "brushlabels"]
    assert len(painted) == 2, "each patch is a mask of its own"
    choose_in_list(ward, painted[-1])
    screen.press("e")
    stroke(ward, Point(place.x + 20, place.y), Point(place.x + 20, place.y + 80))
    screen.press("Escape")
    screen.shot("drawing-erased")
    left = [each for name, each in found(ward).items() if name not in {*before, thin.id}]
    assert sum(each.mask.area for each in left if each.mask) < 0.95 * thick.mask.area


def test_a_suggestion_that_is_not_taken_is_not_saved(ward: Ward) -> None:
    screen, kept = ward.screen, set(found(ward))
    place = away(ward, "not taken")
    auto_annotate(ward)
    screen.zoom_in(place, scale=1.0)
    screen.choose_smart_tool("key-point-tool")
    screen.take("1")
    suggested = screen.ask(lambda: screen.click(Point(place.x + 90, place.y)))
    screen.shot("drawing-not-taken")
    saved = {each.id for each in from_regions(ward.submit("not taken"), tags=TAGS)}
    assert suggested["id"] not in saved
    assert saved == kept, "and a click that is still there is no finding"


def test_a_point_that_is_deleted_again_and_update_answer_a_second_look_and_end_it(ward: Ward) -> None:
    site, project = ward.walk.site, ward.walk.project
    task = ward.tasks["not taken"]
    until(lambda: [each for each in site.store.correction_headers(project) if each.task_id == task])
    (header,) = [each for each in site.store.correction_headers(project) if each.task_id == task]
    raised = LabelDoubt(
        task=task,
        annotation=header.annotation_id,
        image="",
        revision=header.revision,
        cause="missed",
        score=0.9,
    )
    site.second_looks.records.replace(project, [raised], search={})
    sent = site.second_looks.send_back(project, limit=1, actor="a test")
    (tab,) = sent.tabs.values()
    page = ward.screen.page
    page.goto(f"{ward.walk.stack.label_studio.url}/projects/{project}/data?tab={tab}", timeout=PATIENCE)
    page.get_by_text("a lesion may have been missed").first.wait_for(timeout=PATIENCE)
    ward.screen.shot("drawing-second-look")
    ward.open("not taken")
    update = page.get_by_test_id("bottombar-update-button")
    assert update.is_disabled(), "Label Studio saves nothing without a change"
    place = away(ward, "not taken")
    view = ward.screen.zoom_in(place, scale=1.0)
    ward.screen.press("6")
    before = found(ward).keys()
    page.mouse.click(*view.on_screen(Point(place.x, place.y + 120)))
    rest(ward)
    assert len(found(ward)) == len(before) + 1
    ward.screen.press("Escape")
    page.mouse.click(*view.on_screen(Point(place.x, place.y + 120)))
    rest(ward)
    ward.screen.press("Backspace")
    rest(ward)
    ward.screen.shot("drawing-update")
    assert found(ward).keys() == before
    with page.expect_response(
        lambda r: r.request.method == "PATCH" and f"/api/annotations/{header.annotation_id}" in r.url,
        timeout=PATIENCE,
    ):
        update.click()

    def asked() -> bool:
        return "second_look" in ward.walk.client.task(task)["data"]

    until(lambda: not asked())
    (settled,) = site.second_looks.records.ranked(project, limit=9, is_open=False)
    assert settled.answer == "confirmed"


def test_where_nothing_is_drawn_a_click_asks_for_an_outline_and_a_person_draws_one(ward: Ward) -> None:
    ward.open("empty")
    client, task, place = ward.walk.client, ward.tasks["empty"], away(ward, "empty")
    (before, *_) = client.predictions(task)
    for each in client.predictions(task):
        client.call("DELETE", f"/api/predictions/{each['id']}/")
    nothing = {"result": [], "score": 0.0, "model_version": before["model_version"]}
    client.push_prediction(task, nothing)
    screen = ward.screen
    address = f"{ward.walk.stack.label_studio.url}/projects/{ward.walk.project}/data?task={task}"
    screen.page.goto(address, wait_until="domcontentloaded", timeout=PATIENCE)
    screen.page.locator(".konvajs-content canvas").first.wait_for(timeout=PATIENCE)
    rest(ward, 3000)
    assert found(ward) == {}
    auto_annotate(ward)
    screen.zoom_in(place, scale=1.0)
    screen.choose_smart_tool("key-point-tool")
    screen.take("1")
    asked = screen.ask(lambda: screen.click(place))
    screen.accept()
    screen.press("Escape")
    outline(ward, Point(place.x, place.y + 150), radius=40)
    screen.shot("drawing-empty")
    assert len(found(ward)) == 2
    assert asked["id"] in found(ward)
    assert len(ward.submit("empty")) == 2


def test_the_page_names_the_patient_by_a_pseudonym(ward: Ward) -> None:
    ward.open("drawn")
    key = ward.walk.client.task(ward.tasks["drawn"])["data"]["patient"]
    said = ward.screen.page.locator(".lsf-main-view, .lsf-editor").first.inner_text()
    assert pseudonym(key) in said
    assert key not in said


def test_a_click_that_is_accepted_by_itself_is_not_sent_with_the_next_one(ward: Ward) -> None:
    screen, place = ward.screen, away(ward, "drawn")
    beside = Point(place.x + 20, place.y)
    auto_annotate(ward)
    screen.zoom_in(place, scale=1.0)
    screen.choose_smart_tool("key-point-tool")

    def clicks(*, waits: bool) -> list[int]:
        """How many clicks are sent with the first one, and with the second."""
        for each in (place, beside):
            if not waits:
                screen.press("Escape")  # what was accepted may be selected
            screen.take("1")
            screen.ask(lambda at=each: screen.click(at), waits=waits)
        return [sum("is_positive" in each for each in context) for context in screen.asked[-2:]]

    assert clicks(waits=True) == [1, 2]
    screen.page.get_by_test_id("bottombar-reject-suggestions-button").click()
    rest(ward)
    screen.page.get_by_text("Auto-Accept Suggestions").click()
    leave_switch(screen.page)
    assert clicks(waits=False) == [1, 1]
    screen.shot("drawing-auto-accepted")
    screen.page.get_by_text("Auto-Accept Suggestions").click()
