"""One finding is one outline: submitted untouched, deleted by one gesture, asked for by a click; in a real browser.

What the annotator did is followed to the store, the trace and the dataset version. Tests in order, one page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cli.demo.stack import Stack
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.findings import Finding
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TaskImages
from mammo.labelstudio.interpretation import from_regions
from tests.e2e.image_ward import SECRET, TAGS, Ward, far_from, middle_of, open_ward
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import DatasetVersion

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SEEDS = {"untouched": 421, "deleted": 422, "clicked": 423}


@pytest.fixture(scope="module")
def ward(running_stack: Stack, browser: Browser) -> Iterator[Ward]:
    with open_ward(running_stack, browser, seeds=SEEDS) as ward:
        yield ward


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
