"""An exam on one page: prelabelled as a whole, read, described and submitted in a real browser.

What Label Studio keeps beside the outlines (prompts, toggles, doubled webhooks) is followed to the dataset version.
Tests in order, one page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import httpx
import pytest

from cli.demo.stack import Stack
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.exam_views import EXAM_VIEWS, PRIOR
from mammo.geometry import Point
from mammo.identifiers import pseudonym
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TaskImages
from mammo.labelstudio.exam_config import NO_KEY
from mammo.labelstudio.exam_page import TAB_TITLE
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.project_connection import SECRET_HEADER
from mammo.labelstudio.shown_version import VERSION_CONTROL, short_version
from tests.e2e.exam_ward import CONFIG, IMAGES, RESULTS, SECRET, SIZE, TAGS, Ward, open_ward
from tests.e2e.image_ward import far_from, tissue_of
from tests.e2e.screen import PATIENCE, leave_switch
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import DatasetVersion

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WINDOWS = ((1366, 768), (1920, 1080), (2560, 1440))
STRAY_KEYS = ("4", "n", "y", "j")
"""Keys that Label Studio gives to choices without one."""

SUGGESTED = """() => [...window.Htx.annotationStore.selected.suggestions.values()]
    .map(each => each.object.name)"""
"""Views with a suggestion that waits."""


@pytest.fixture(scope="module")
def ward(running_stack: Stack, browser: Browser) -> Iterator[Ward]:
    """A ward whose webhook is doubled."""
    with open_ward(running_stack, browser, title="Four views", patients=("PHANTOM-A", "PHANTOM-B")) as ward:
        secret = running_stack.settings.webhook_secret.get_secret_value()
        ward.walk.client.call(
            "POST",
            "/api/webhooks/",
            json={
                "project": ward.walk.project,
                "url": f"{running_stack.backend_url}/webhook?again=1",
                "headers": {SECRET_HEADER: secret},
                "send_payload": True,
                "send_for_all_actions": True,
            },
        )
        yield ward


def test_an_exam_is_prelabelled_in_one_prediction_with_one_score_and_version(ward: Ward) -> None:
    for task, missing in ((ward.whole, ""), (ward.partial, "LCC")):
        prediction = ward.prediction(task)
        assert prediction["model_version"] == ward.walk.version()
        assert 0 <= prediction["score"] <= 1
        on = {region["to_name"] for region in prediction["result"] if region["type"] == "polygonlabels"}
        assert on == {view.name for view in EXAM_VIEWS} - {missing}
        assert {region["type"] for region in prediction["result"]} <= {
            "polygonlabels",
            "relation",
            "textarea",
        }
        (version,) = [region for region in prediction["result"] if region["type"] == "textarea"]
        assert version["from_name"] == VERSION_CONTROL


def test_the_backend_answers_the_same_for_an_exam_that_is_opened(ward: Ward) -> None:
    body = {
        "tasks": [{"id": ward.partial, "data": ward.data(ward.partial), "project": ward.walk.project}],
        "project": f"{ward.walk.project}.1",
        "label_config": CONFIG,
        "params": {"context": None},
    }
    url = f"{ward.walk.stack.backend_url}/predict"
    answer = httpx.post(url, json=body, auth=ward.walk.stack.auth, timeout=300, trust_env=False).json()
    (result,) = answer["results"]
    kept = ward.prediction(ward.partial)
    assert result["model_version"] == kept["model_version"]
    assert result["score"] == pytest.approx(kept["score"], abs=1e-6)
    assert [each.get("id") for each in result["result"]] == [each.get("id") for each in kept["result"]]


def test_the_projects_data_open_in_the_tab_of_exams(ward: Ward) -> None:
    ward.page.goto(f"{ward.walk.stack.label_studio.url}/projects/{ward.walk.project}/data", timeout=PATIENCE)
    ward.page.locator(".dm-thumbnail, .lsf-table img, img").first.wait_for(timeout=PATIENCE)
    key = ward.data(ward.whole)["patient"]
    ward.page.get_by_text(pseudonym(key)).first.wait_for(timeout=PATIENCE)
    ward.shot("exam-tab")
    said = ward.page.inner_text("body")
    assert TAB_TITLE in said
    assert "sha256" not in said.lower()
    assert pseudonym(key) in said
    assert key not in said
    for column in ("R CC, L CC, R MLO, L MLO", "R CC, R MLO, L MLO", ward.walk.version()):
        assert column in said, column
    counts = [each["data"]["findings"] for each in ward.walk.client.tasks(ward.walk.project)]
    assert max(counts) == sum(len(ward.findings(view)) for view in EXAM_VIEWS)
    ward.page.get_by_text("Label All Tasks").click()
    ward.page.wait_for_function(f"({RESULTS})().length > 0", timeout=PATIENCE)


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_all_four_views_and_every_outline_are_in_the_window(ward: Ward, width: int, height: int) -> None:
    ward.page.set_viewport_size({"width": width, "height": height})
    ward.open(ward.whole)
    ward.shot(f"exam-{width}x{height}")
    for view in EXAM_VIEWS:
        box = ward.page.locator(f".view-{view.name} img").first.bounding_box()
        assert box is not None
        assert box["width"] > 0.1 * width
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
    drawn = [each["to_name"] for each in ward.results() if each["type"] == "polygonlabels"]
    assert Counter(drawn) == {view.name: len(ward.findings(view)) for view in EXAM_VIEWS}
    regions = ward.page.evaluate("() => window.Htx.annotationStore.selected.regions.map(each => each.type)")
    assert regions.count("polygonregion") == len(drawn), "regions of two views were taken for one"
    said = ward.page.inner_text(".exam")
    assert NO_KEY not in said
    assert f"Patient {pseudonym(ward.data(ward.whole)['patient'])}, " in said
    assert f"Outlined by model {short_version(ward.walk.version())}" in said


def test_a_key_enlarges_a_pair_and_another_shows_all_views_again(ward: Ward) -> None:
    ward.page.set_viewport_size({"width": 1920, "height": 1080})
    ward.open(ward.whole)
    before = ward.width("RCC")
    for key, large, small in (
        ("6", "RCC", "RMLO"),
        ("7", "LMLO", "LCC"),
        ("8", "RMLO", "LMLO"),
        ("9", "LCC", "RCC"),
    ):
        ward.press(key)
        assert ward.width(large) > 1.5 * before > 3 * ward.width(small)
        ward.shot(f"exam-key-{key}")
        ward.press("5")
        assert ward.width(large) == pytest.approx(before, abs=3)
    ward.press("i")
    ward.press("u")
    ward.shot("exam-inverted")
    canvas = "getComputedStyle(document.querySelector('.view-RCC .konvajs-content canvas')).filter"
    assert "invert" in str(ward.page.evaluate(canvas))
    assert "contrast" in str(ward.page.evaluate(canvas))
    ward.press("i")
    ward.press("u")
    assert ward.page.evaluate(canvas) == "none"
    loaded = "() => [...document.querySelectorAll('.prior img')].map(each => each.naturalWidth > 0)"
    assert ward.page.evaluate(loaded) == [False] * 3
    ward.press("0")
    ward.page.wait_for_function(f"() => ({loaded})().every(Boolean)", timeout=PATIENCE)
    ward.shot("exam-prior")
    links = "getComputedStyle(document.querySelector('.relations-overlay')).visibility"
    assert ward.page.evaluate(links) == "hidden", "links of this exam over the pictures of the other"
    looks_closer_at_the_earlier_exam(ward)
    ward.press("0")
    assert not ward.page.locator(".prior img").first.is_visible()
    ward.page.locator(".view-RCC img").first.hover(force=True)
    ward.page.keyboard.down("Control")
    ward.page.mouse.wheel(0, -480)
    ward.page.keyboard.up("Control")
    zoom = "view => window.Htx.annotationStore.selected.names.get(view).zoomScale"
    ward.page.wait_for_function(f"() => ({zoom})('RCC') > 1", timeout=PATIENCE)
    assert [ward.page.evaluate(zoom, view) for view in ("LCC", "RMLO", "LMLO")] == [1, 1, 1]


def test_what_was_read_and_said_reaches_the_store_once_per_image(ward: Ward) -> None:
    """Two findings are described, one is deleted, the views are rearranged; stray keys say nothing."""
    page, view = ward.page, EXAM_VIEWS[0]
    ward.open(ward.whole)
    proposed = {each.name: ward.findings(each) for each in EXAM_VIEWS}
    described, *_ = proposed[view.name]
    ward.press("6")
    ward.click_inside(view, described)
    for key in STRAY_KEYS:
        ward.press(key)
    for key in ("Shift+K", "Shift+P", "s", "x"):  # a word replaces another
        ward.press(key)
    page.locator(".per textarea:visible, .per input[type=text]:visible").fill("as told by Mrs Doe")
    page.keyboard.press("Enter")
    ward.shot("exam-described")
    ward.press("Escape")
    ward.press("5")
    for key in ("Shift+Y", "Shift+4"):
        ward.press(key)
    other = EXAM_VIEWS[3]
    deleted, *_ = proposed[other.name]
    ward.press("7")
    ward.click_inside(other, deleted)
    ward.press("Backspace")
    ward.shot("exam-deleted")
    with page.expect_response(
        lambda r: r.request.method == "POST" and f"/api/tasks/{ward.whole}/annotations" in r.url,
        timeout=PATIENCE,
    ) as saved:
        page.keyboard.press("Control+Enter")
    assert saved.value.status == 201
    (annotation,) = ward.walk.client.annotations(ward.whole)
    names = {each.get("from_name") for each in annotation["result"]}
    assert "hanging" in names, "Label Studio stores how the page was shown"
    ticked = {f"morphology-{each.name}" for each in EXAM_VIEWS}
    assert ticked <= names, "Label Studio stores the word in the controls of all views"
    ward.walk.annotations += 1
    ward.walk.expect_corrections()
    traced = ward.traced()
    (entry,) = traced.history
    assert traced.patient == pseudonym(ward.data(ward.whole)["patient"])
    words = {name: {**each, "lesion": ""} for name, each in entry.descriptors.items() if "morphology" in each}
    assert words == {
        described.id: {
            "morphology": "fine pleomorphic",
            "distribution": "segmental",
            "suspicion": "4B",
            "lesion": "",
        }
    }
    assert entry.comments == {described.id: None}, (
        "a trace tells that there is a comment, and not what it says"
    )
    assert entry.exam == {"density": "c", "assessment": "4A"}
    kinds = {(each.image, each.finding): each.kind for each in entry.changes or []}
    expected = {(name, each.id): "accepted" for name, findings in proposed.items() for each in findings}
    assert kinds == expected | {(other.name, deleted.id): "deleted"}


def test_an_exam_that_is_skipped_stays_unread(ward: Ward) -> None:
    url = f"{ward.walk.stack.label_studio.url}/projects/{ward.walk.project}/data?labeling=1"
    ward.page.goto(url, wait_until="domcontentloaded", timeout=PATIENCE)
    ward.page.wait_for_function(f"({RESULTS})().length > 0", timeout=PATIENCE)
    ward.page.wait_for_timeout(3000)
    ward.page.mouse.click(30, 950)  # beside the instructions, which Label Studio shows once per visit
    with ward.page.expect_response(
        lambda r: r.request.method == "POST" and f"/api/tasks/{ward.partial}/annotations" in r.url,
        timeout=PATIENCE,
    ) as saved:
        ward.page.keyboard.press("Control+Space")
    assert saved.value.json()["was_cancelled"] is True


def test_the_dataset_version_has_an_item_of_every_view(ward: Ward) -> None:
    dataset = built(ward)
    assert {item.task_id for item in dataset.items} == {ward.whole}
    items = {item.image_key: item for item in dataset.items}
    assert list(items) == [view.name for view in EXAM_VIEWS]
    assert dataset.excluded == ()
    counts = {view.name: len(ward.findings(view)) for view in EXAM_VIEWS}
    assert {name: len(item.truth) for name, item in items.items()} == counts | {"LMLO": counts["LMLO"] - 1}
    assert {(item.density, item.assessment) for item in items.values()} == {("c", "4A")}
    said = [each.descriptors for item in items.values() for each in item.truth if each.descriptors]
    assert said == [{"morphology": "fine pleomorphic", "distribution": "segmental", "suspicion": "4B"}]
    assert "Doe" not in str([asdict(item) for item in dataset.items])
    assert dataset.num_unexplained == 0


def test_a_click_in_another_view_drops_a_suggestion_that_waits_and_none_that_is_accepted_by_itself(
    ward: Ward,
) -> None:
    page, right, left = ward.page, ("RCC", "RMLO"), ("LCC", "LMLO")
    ward.open(ward.whole)
    ward.press("5")  # it was submitted with MLO enlarged
    page.get_by_text("Auto-Annotation").click()
    for view in (*right, *left):
        page.locator(f".view-{view} .lsf-toolbar__group").last.click()
        page.wait_for_timeout(400)
    before, waiting = outlines(ward), []
    places = {view: place_without_finding(ward, view) for view in (*right, *left)}
    for view in right:
        ask(ward, view, places[view])
        waiting.append(page.evaluate(SUGGESTED))
    ward.shot("exam-suggested")
    assert waiting == [["RCC"], ["RMLO"]]
    page.get_by_test_id("bottombar-reject-suggestions-button").click()
    assert outlines(ward) == before
    page.get_by_text("Auto-Accept Suggestions").click()
    leave_switch(page)
    for view in left:
        ask(ward, view, places[view])
    ward.shot("exam-auto-accepted")
    assert outlines(ward) == before + Counter(left)
    assert page.evaluate(SUGGESTED) == []


def looks_closer_at_the_earlier_exam(ward: Ward) -> None:
    """The keys of pairs hold for it, too; a picture that is clicked has its full size until one clicks below it."""
    pictures = ward.page.locator(".prior img")  # R CC, R MLO, L MLO

    def widths() -> list[float]:
        return [box["width"] if (box := each.bounding_box()) else 0 for each in pictures.all()]

    all_views = widths()
    ward.press("7")
    ward.shot("exam-prior-pair")
    assert widths()[0] == 0
    assert min(widths()[1:]) > 1.5 * all_views[1]
    ward.press("5")
    assert widths() == pytest.approx(all_views, abs=3)
    pictures.nth(1).click()
    ward.page.wait_for_timeout(400)
    ward.shot("exam-prior-full-size")
    assert widths() == [0, SIZE.width, 0]
    assert (box := ward.page.locator(".prior p").bounding_box())
    assert box["height"] > 600, "the room below the views is used"
    scrolled = (
        "() => [document.querySelector('.prior p').scrollLeft, document.querySelector('.prior p').scrollTop]"
    )
    before = ward.page.evaluate(scrolled)
    ward.page.mouse.move(900, 500)
    ward.page.mouse.wheel(0, 300)
    ward.page.wait_for_timeout(400)
    assert ward.page.evaluate(scrolled)[1] > before[1]
    ward.page.locator(".prior b").click()
    ward.page.wait_for_timeout(400)
    assert widths() == pytest.approx(all_views, abs=3)
    assert [each["type"] for each in ward.results() if each.get("to_name") == PRIOR] == []


def ask(ward: Ward, view: str, place: Point) -> None:
    """Take up the prompt, click, and wait for the model's outline."""
    ward.press("Escape")
    ward.press("1")
    at = ward.on_screen(view, place)
    with ward.page.expect_response(lambda r: "interactive-annotating" in r.url, timeout=PATIENCE):
        ward.page.mouse.click(*at)
    ward.page.wait_for_timeout(1500)


def outlines(ward: Ward) -> Counter[str]:
    """Number of outlines that the page would submit, by view."""
    return Counter(each["to_name"] for each in ward.results() if each["type"] == "polygonlabels")


def place_without_finding(ward: Ward, view: str) -> Point:
    """A pixel of the breast that is far from all outlines of a view."""
    root = ward.walk.stack.settings.mammogram_root
    assert root is not None
    tissue = tissue_of(root / ward.data(ward.whole)[f"{view.lower()}_mammogram"], margin=50)
    return far_from(from_regions(ward.results(), tags=IMAGES[view]), tissue)


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
