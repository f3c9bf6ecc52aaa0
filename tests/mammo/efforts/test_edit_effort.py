from dataclasses import replace

import pytest

from mammo.efforts.edit_effort import (
    EditEffort,
    WordCounts,
    boundary_shift,
    changes,
    edit_effort,
    total_effort,
)
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from tests.training.detections import square


def counts(effort):
    return effort.accepted, effort.edited, effort.added, effort.deleted


def test_a_prelabel_left_alone_is_accepted():
    findings = [square(0, 0, name="c1"), square(100, 0, name="c2")]
    effort = edit_effort(findings, list(reversed(findings)))
    assert counts(effort) == (2, 0, 0, 0)
    assert effort.dice == 1.0


def test_moved_drawn_and_removed_findings_are_distinguished():
    before = [square(0, 0, name="c1"), square(100, 0, name="c2")]
    after = [square(3, 0, name="c1"), square(200, 0)]
    assert counts(edit_effort(before, after)) == (0, 1, 1, 1)


def test_the_id_decides_before_the_overlap():
    before = [square(0, 0, name="c1"), square(100, 0, name="c2")]
    after = [square(100, 0, name="c1"), square(0, 0, name="c2")]
    assert counts(edit_effort(before, after)) == (0, 2, 0, 0)


def test_without_ids_overlap_decides():
    assert counts(edit_effort([square(0, 0)], [square(0, 0)])) == (1, 0, 0, 0)
    assert counts(edit_effort([square(0, 0)], [square(2, 2)])) == (0, 1, 0, 0)
    assert counts(edit_effort([square(0, 0)], [square(50, 50)])) == (0, 0, 1, 1)


def test_another_mask_in_the_same_box_is_an_edit():
    finer = replace(square(0, 0), mask=square(0, 0, 5).mask)
    assert counts(edit_effort([square(0, 0)], [finer])) == (0, 1, 0, 0)
    assert counts(edit_effort([square(0, 0, mask=False)], [square(0, 0)])) == (0, 1, 0, 0)


def test_dice_is_of_all_pixels_and_does_not_exist_where_there_are_none():
    assert edit_effort([square(0, 0)], [square(0, 5)]).dice == pytest.approx(0.5)
    assert edit_effort([square(0, 0)], []).dice == 0.0
    assert edit_effort([], [square(0, 0)]).dice == 0.0
    assert edit_effort([], []).dice is None


def test_words_are_given_changed_removed_or_accepted_and_go_with_a_deleted_finding():
    proposed = [
        replace(square(0, 0, name="c1"), morphology="amorphous", distribution="grouped", suspicion="4A"),
        replace(square(100, 0, name="c2"), morphology="skin"),
    ]
    said = [
        replace(square(0, 0, name="c1"), morphology="amorphous", distribution="linear"),
        replace(square(200, 0), morphology="rim"),
    ]
    effort = edit_effort(proposed, said, exams=({"density": "b"}, {"density": "b", "assessment": "3"}))
    assert dict(effort.words) == {
        "assessment": WordCounts(given=1),
        "density": WordCounts(accepted=1),
        "distribution": WordCounts(changed=1),
        "morphology": WordCounts(given=1, accepted=1),
        "suspicion": WordCounts(removed=1),
    }
    assert dict(total_effort([effort, effort]).words)["morphology"] == WordCounts(given=2, accepted=2)
    assert edit_effort([square(0, 0)], [square(0, 0)]).words == ()


def test_the_total_adds_counts_and_averages_dice_over_images_with_pixels():
    efforts = [
        edit_effort([square(0, 0)], [square(0, 5)]),
        edit_effort([], []),
        edit_effort([], [square(0, 0)]),
    ]
    assert total_effort(efforts) == EditEffort(accepted=0, edited=1, added=1, deleted=0, dice=0.25)
    assert total_effort([]).dice is None


def test_every_change_is_named():
    before = [square(60 * x, 0, name=f"c{x}") for x in range(5)]
    after = [
        before[0],
        square(63, 0, name="c1"),
        square(120, 0, side=8, name="c2"),
        replace(before[3], label="Mass"),
        square(500, 0, name="new"),
    ]
    found_changes = changes(before, after)
    kinds = ["accepted", "moved", "reshaped", "relabelled", "deleted", "added"]
    assert [change.kind for change in found_changes] == kinds
    assert [change.finding for change in found_changes] == ["c0", "c1", "c2", "c3", "c4", "new"]
    assert found_changes[1].dice == pytest.approx(0.7)
    assert found_changes[-1].dice is None


def test_a_box_without_pixels_is_moved_or_reshaped_by_its_size():
    before = square(0, 0, name="c", mask=False)
    assert [c.kind for c in changes([before], [square(4, 0, name="c", mask=False)])] == ["moved"]
    assert [c.kind for c in changes([before], [square(0, 0, 12, name="c", mask=False)])] == ["reshaped"]
    assert changes([before], [square(4, 0, name="c", mask=False)])[0].boundary_shift is None


def test_the_boundary_shift_is_the_mean_distance_of_the_outlines():
    whole, grown = square(10, 10, 20).mask, square(8, 8, 24).mask
    assert boundary_shift(whole, whole, pixel=(1.0, 1.0)) == 0
    # Each side moves by two pixels; only the new corners are farther away (2 * sqrt 2).
    assert boundary_shift(whole, grown, pixel=(1.0, 1.0)) == pytest.approx(2.0, abs=0.05)
    assert boundary_shift(grown, whole, pixel=(1.0, 1.0)) == boundary_shift(whole, grown, pixel=(1.0, 1.0))


def point(x, y, name=""):
    return Finding(label=CLUSTER, score=1.0, box=Box(x, y, x + 1, y + 1), id=name, is_point=True)


@pytest.mark.parametrize("mask", [True, False])
def test_a_point_that_a_person_sets_is_added_and_edits_no_outlined_finding(mask):
    before = square(0, 0, name="c1", mask=mask)
    assert counts(edit_effort([before], [before, point(50, 50)])) == (1, 0, 1, 0)
    assert counts(edit_effort([before], [point(5, 5)])) == (0, 0, 1, 1), (
        "deleted, and a place marked where it was"
    )
    assert counts(edit_effort([before], [point(5, 5, name="c1")])) == (0, 0, 1, 1)
    assert counts(edit_effort([], [point(5, 5)])) == (0, 0, 1, 0)
    assert edit_effort([], [point(5, 5)]).dice is None


def test_a_tiny_box_is_no_point():
    tiny = replace(point(5, 5), is_point=False)
    assert counts(edit_effort([tiny], [tiny])) == (1, 0, 0, 0)
    assert counts(edit_effort([tiny], [point(5, 5)])) == (0, 0, 1, 1)


def test_a_point_of_an_earlier_reading_is_left_or_moved():
    assert counts(edit_effort([point(5, 5, name="a")], [point(5, 5, name="a")])) == (1, 0, 0, 0)
    (change,) = changes([point(5, 5, name="a")], [point(9, 5, name="a")])
    assert change.kind == "moved"
