"""How an upgrade changes the reading of stored annotations, reported before anything is trained on it."""

from __future__ import annotations

import pytest

from mammo.blobs import Blobs
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.labelstudio.interpretation import interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from tests.mammo.labelstudio.drawn import SIZE, A, B, brush, filled, point, rectangle
from tests.mammo.labelstudio.test_older_prelabels import sent
from tests.training.earlier_release import freeze_as_before
from tests.training.project import Project, mammogram
from training.datasets.building import build_dataset_version
from training.datasets.rereading import reread
from training.datasets.sources import PREFERENCE, ReadOptions

TAGS = ControlTags()
CRUMB = Box(120, 80, 133, 90)
SPECK = Box(100, 80, 102, 83)


def found(box: Box, *, mask: bool = True) -> Finding:
    return Finding(label=CLUSTER, score=1.0, box=box, mask=filled(box) if mask else None)


class Site:
    """A project whose annotations were frozen by an earlier release."""

    def __init__(self, store, engine, blobs):
        self.store, self.engine, self.blobs = store, engine, blobs
        self.project = Project(store)

    def annotate(self, number, result, **data):
        self.project.annotate(number, [], patient=f"{number:016x}", result=result, **data)
        self.project.images[f"{number}.dcm"] = mammogram(number, size=SIZE)

    def build(self):
        return build_dataset_version(
            self.store,
            self.engine,
            self.blobs,
            project=1,
            open_image=self.project.open_image,
            fingerprint=self.fingerprint,
            options=ReadOptions(tags=TAGS, prefer=PREFERENCE, with_automatic=False),
        )

    def fingerprint(self, data):
        return data["mammogram"]

    def freeze(self, findings, **held):
        return freeze_as_before(self.engine, self.blobs, self.build(), findings, **held)

    def reread(self, tags=TAGS, **options):
        options = {"fingerprint": self.fingerprint} | options
        return reread(
            1,
            store=self.store,
            engine=self.engine,
            blobs=self.blobs,
            options=ReadOptions(tags=tags, prefer=PREFERENCE, with_automatic=False),
            **options,
        )


@pytest.fixture
def site(store, engine, tmp_path):
    return Site(store, engine, Blobs(tmp_path / "blobs"))


def states(rereading):
    return {row.annotation: row.state for row in rereading.rows}


def kinds(rereading, annotation):
    (row,) = [each for each in rereading.rows if each.annotation == annotation]
    return [(each.kind, each.number, each.box) for each in row.changes]


def without(name, result):
    return [each for each in result if each["id"] != name]


def upgraded(site):
    """1: untouched; 2: with a mask fragment; 3: a rectangle deleted, but not its mask; 4: erased to a fragment; 5: a
    point only; 6: an unknown label, read as no finding; 7: empty."""
    site.annotate(1, sent())
    site.annotate(2, sent(crumbs=(CRUMB,)))
    site.annotate(3, without("b", sent()))
    erased = without("b", sent())
    erased[0] = brush(filled(A, SPECK), id="m", meta=erased[0]["meta"], origin="prediction-changed")
    site.annotate(4, erased)
    site.annotate(5, [point(15, 25)])
    foreign = rectangle(A)
    foreign["value"]["rectanglelabels"] = ["Kalk"]
    site.annotate(6, [foreign])
    site.annotate(7, [])
    stored = {each.annotation_id: each.content_hash for each in site.store.corrections(1)}
    return site.freeze(
        {
            2: [found(A), found(B), found(CRUMB)],
            3: [found(A), found(B)],
            4: [found(A), found(SPECK)],
            5: [],
            6: [],
        },
        held={6: {"like": 7, "content_hash": stored[6], "task_id": 6}},
    )


def test_what_an_earlier_release_took_for_findings_is_told_finding_by_finding(site):
    name = upgraded(site)
    rereading = site.reread()
    assert (rereading.version, rereading.read_otherwise, rereading.problem) == (name, True, "")
    assert states(rereading) == {
        1: "same", 2: "changed", 3: "changed", 4: "changed", 5: "changed", 6: "refused", 7: "same"
    }  # fmt: skip
    # The crumb's pixels are of the finding beside it now.
    assert kinds(rereading, 2) == [("reshaped", 2, B.as_tuple()), ("gone", 3, CRUMB.as_tuple())]
    assert kinds(rereading, 3) == [("gone", 2, B.as_tuple())]
    assert kinds(rereading, 4) == [("gone", 2, SPECK.as_tuple())]
    assert kinds(rereading, 5) == [("new", 1, (15, 25, 16, 26))]
    rows = {row.annotation: row for row in rereading.rows}
    assert [(row.before, row.now) for row in rereading.rows] == [
        (2, 2), (3, 2), (2, 1), (2, 1), (0, 1), (0, None), (0, 0)
    ]  # fmt: skip
    assert (rows[3].deleted, rows[4].crumbs) == (1, 1)
    assert (rows[6].code, rows[6].held) == ("unknown_label", True)
    assert "'Kalk'" in rows[6].reason
    assert [row.annotation for row in rereading.different] == [2, 3, 4, 5, 6]


def test_the_totals_say_the_same(site):
    name = upgraded(site)
    rereading = site.reread()
    assert rereading.sentence == (
        f"annotations compared with dataset version {name[:12]}: 2 unchanged, 4 changed (findings: 3 gone, "
        "1 new, 1 reshaped), 1 refused (1 unknown_label; 1 of them contained in it), 1 mask fragments dropped, "
        "1 findings deleted by deleting a part"
    )
    report = rereading.to_json()
    assert (report["same"], report["changed"], report["refused"]) == (2, 4, 1)
    assert report["findings"] == {"gone": 3, "new": 1, "reshaped": 1}
    assert [each["annotation"] for each in report["annotations"]] == [2, 3, 4, 5, 6]


def test_after_the_next_dataset_version_nothing_is_different_and_only_what_is_not_in_it_is_read(
    site, monkeypatch
):
    upgraded(site)
    site.build()
    read = []

    def reading(result, **options):
        read.append(result)
        return interpret_images(result, **options)

    monkeypatch.setattr("training.datasets.annotation_reading.interpret_images", reading)
    rereading = site.reread()
    assert (rereading.counts["same"], rereading.counts["refused"], rereading.different) == (6, 1, [])
    assert not rereading.read_otherwise
    assert (rereading.crumbs, rereading.deleted) == (1, 1)
    assert len(read) == 1


def test_where_files_cannot_be_told_apart_all_is_read_and_compared(site):
    upgraded(site)
    options = {"fingerprint": lambda data: None}
    assert states(site.reread(**options)) == states(site.reread())
    assert not site.reread(**options).read_otherwise, "nothing is certain"
    site.build()
    rereading = site.reread(**options)
    assert (rereading.counts["same"], rereading.counts["changed"], rereading.different) == (6, 0, [])


def test_a_mask_or_a_box_of_another_shape_is_told_with_its_overlap(site):
    site.annotate(1, sent())
    half = Box(A.x0, A.y0, A.x1, A.y0 + A.height // 2)
    site.freeze({1: [Finding(label=CLUSTER, score=1.0, box=A, mask=filled(half)), found(B)]})
    (row,) = site.reread().rows
    (change,) = row.changes
    assert (change.kind, change.number, change.box) == ("reshaped", 1, A.as_tuple())
    assert change.overlap == pytest.approx(2 / 3, abs=1e-4)


def test_a_hundredth_of_a_finding_is_no_change(site):
    site.annotate(1, sent())
    nearly = filled(A)
    nearly.bitmap[0, :8] = False
    site.freeze({1: [Finding(label=CLUSTER, score=1.0, box=A, mask=nearly), found(B)]})
    assert states(site.reread()) == {1: "same"}


def test_what_a_person_has_changed_since_or_made_since_is_no_change_of_meaning(site):
    upgraded(site)
    site.annotate(2, sent())
    site.annotate(8, sent())
    rereading = site.reread()
    assert (states(rereading)[2], states(rereading)[8]) == ("edited", "absent")
    assert 2 not in [row.annotation for row in rereading.different]
    assert "1 edited since" in rereading.sentence
    assert "1 not contained in it" in rereading.sentence


def test_a_refusal_comes_before_whatever_else_became_of_an_annotation(site):
    upgraded(site)
    site.annotate(8, [rectangle(A, to_name="elsewhere")])
    site.annotate(9, [], spacing_mm="thick")
    rows = {row.annotation: row for row in site.reread().rows}
    assert [(rows[n].state, rows[n].code, rows[n].held) for n in (8, 9)] == [
        ("refused", "unknown_image", False),
        ("refused", "spacing", False),
    ]


def test_without_a_dataset_version_it_says_so_and_what_is_refused(site):
    site.annotate(1, sent())
    site.annotate(2, [rectangle(A, to_name="elsewhere")])
    rereading = site.reread()
    assert (rereading.version, states(rereading)) == (None, {1: "absent", 2: "refused"})
    assert rereading.sentence.startswith(
        "annotations read again (there is no dataset version yet): 1 readable, 1 refused (1 unknown_image)"
    )


def test_a_dataset_version_that_is_damaged_is_named_and_ends_nothing(site, tmp_path):
    upgraded(site)
    name = site.build().name
    (tmp_path / "blobs" / "sha256" / name[:2] / name).unlink()
    rereading = site.reread()
    assert rereading.version is None
    assert name[:12] in rereading.problem
    assert rereading.counts["refused"] == 1


def test_another_label_in_the_labeling_config_is_another_reading(site):
    site.annotate(1, [rectangle(A)])
    site.build()
    rereading = site.reread(tags=ControlTags(label="Kalk"))
    assert (rereading.read_otherwise, states(rereading)) == (True, {1: "refused"})


def test_how_far_it_is_is_told(site):
    upgraded(site)
    reports = []
    site.reread(progress=lambda fraction, message: reports.append((round(fraction, 2), message)))
    assert reports[-1] == (1.0, "7 of 7 annotations")
