"""The annotator errs at stated rates, equally in every arm, and pays for what she does."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.loop.annotator import RATES, Annotator, Rates, middle
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Point, Size, Spacing
from mammo.masks import Mask

SIZE = Size(400, 300)
SPACING = Spacing(0.1, 0.1, "given")
PERFECT = Rates(
    missed=0.0, missed_beside=0.0, false_kept=0.0, true_deleted=0.0, accepted_dice=0.8, sloppy_mm=0.0
)


def disc(x, y, radius=25, name=""):
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    mask = Mask(rows**2 + columns**2 <= radius**2, x - radius, y - radius)
    return Finding(label=CLUSTER, score=0.9, box=mask.frame, mask=mask, id=name)


def correct(shown, truth, *, rates=PERFECT, ask=None, image="ab" * 32):
    return Annotator(rates, seed=1, image=image, size=SIZE, spacing=SPACING).correct(shown, truth, ask=ask)


def images(number):
    return [f"{index:08x}" * 8 for index in range(number)]


def test_a_good_finding_stays_and_costs_a_decision():
    correction = correct([disc(100, 100, name="c1")], [disc(101, 100)])
    assert (correction.kept, correction.drawn) == (("c1",), ())
    assert correction.tally == {"decisions": 2, "submit and see the next task": 1}


def test_a_false_finding_is_deleted():
    correction = correct([disc(100, 100, name="c1")], [])
    assert (correction.kept, correction.drawn) == ((), ())
    assert correction.tally["delete"] == 1


def test_of_two_findings_on_a_lesion_one_is_deleted():
    shown = [disc(100, 100, name="c1"), replace(disc(102, 100, name="c2"), score=0.5)]
    correction = correct(shown, [disc(100, 100)])
    assert correction.kept == ("c1",)
    assert correction.tally["delete"] == 1


def test_a_bad_outline_is_corrected_under_its_id_by_the_cheaper_way():
    (drawn,) = (correction := correct([disc(100, 100, radius=12, name="c1")], [disc(100, 100)])).drawn
    assert drawn.id == "c1"
    assert drawn.mask.dice(disc(100, 100).mask) == 1.0
    assert {"select", "move a vertex"} <= correction.tally.keys() or "set a vertex" in correction.tally


def test_without_a_model_a_lesion_is_outlined_vertex_by_vertex():
    correction = correct(None, [disc(100, 100)])
    assert correction.tally["set a vertex"] >= 6
    assert "add by click" not in correction.tally


def test_with_a_model_a_missed_lesion_costs_a_click_if_the_answer_is_good():
    asked = []

    def ask(point):
        asked.append(point)
        return disc(100, 100, radius=24).mask

    correction = correct([], [disc(100, 100)], ask=ask)
    assert asked == [Point(100, 100)]
    assert correction.tally["add by click"] == 1
    assert "set a vertex" not in correction.tally
    assert [each.mask.area for each in correction.drawn] == [disc(100, 100, radius=24).mask.area]


def test_an_answer_that_finds_nothing_is_outlined_by_hand():
    correction = correct([], [disc(100, 100)], ask=lambda _: None)
    assert correction.tally["add by click"] == 1
    assert correction.tally["set a vertex"] >= 6


@pytest.mark.parametrize("shown", [None, []])
def test_lesions_are_missed_at_the_stated_rate(shown):
    rates = replace(PERFECT, missed=0.3, missed_beside=0.3)
    found = sum(len(correct(shown, [disc(100, 100)], rates=rates, image=each).drawn) for each in images(400))
    assert 0.63 < found / 400 < 0.77


def test_false_findings_stay_at_the_stated_rate():
    rates = replace(PERFECT, false_kept=0.3)
    kept = sum(
        len(correct([disc(100, 100, name="c1")], [], rates=rates, image=each).kept) for each in images(400)
    )
    assert 0.23 < kept / 400 < 0.37


def test_what_is_noticed_does_not_depend_on_what_is_shown_elsewhere():
    truth = [disc(100, 100), disc(300, 200)]
    for image in images(50):
        rates = replace(PERFECT, missed=0.5, missed_beside=0.5)
        alone = {each.id for each in correct(None, truth, rates=rates, image=image).drawn}
        beside = {
            each.id
            for each in correct([disc(200, 50, name="c1")], truth, rates=rates, image=image, ask=None).drawn
        }
        assert alone == beside


def test_a_sloppy_outline_is_near_the_truth_and_inside_the_image():
    rates = replace(PERFECT, sloppy_mm=0.3)
    lesion = disc(41, 41, radius=40)
    dice = []
    for image in images(40):
        (drawn,) = correct(None, [lesion], rates=rates, image=image).drawn
        dice.append(drawn.mask.dice(lesion.mask))
        assert drawn.box == drawn.box.within(SIZE)
    assert 0.85 < np.mean(dice) < 0.99


def test_the_credulous_differ_from_the_careful_only_where_a_model_helps():
    careful, credulous = RATES["careful"], RATES["credulous"]
    assert careful.missed == credulous.missed
    assert careful.sloppy_mm == credulous.sloppy_mm
    assert credulous.false_kept > careful.false_kept
    assert credulous.missed_beside > careful.missed_beside
    assert credulous.accepted_dice < careful.accepted_dice


def test_the_middle_of_a_lesion_lies_in_it():
    ring = disc(100, 100, radius=20).mask
    bitmap = ring.bitmap.copy()
    bitmap[10:30, 10:30] = False
    hollow = Mask(bitmap, ring.x0, ring.y0)
    assert hollow.holds(middle(hollow))
