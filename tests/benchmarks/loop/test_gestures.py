"""What gestures cost: every one with a source, outlines and brush from one tally."""

import json

import pytest

from benchmarks.loop.gestures import CORRECTED, DECISIONS, FILE, GESTURES, OUTLINE_CM, OUTLINES, prices


def test_every_figure_names_its_source():
    content = json.loads(FILE.read_text(encoding="utf-8"))
    stated = [content["operators"], content["screen"], *content["gestures"].values()]
    assert all(each["source"] for each in stated)
    assert set(GESTURES) < set(content["gestures"])


def test_a_gesture_takes_the_hand_and_the_page():
    # A click (point 1.1 s, press 0.2 s), a key (0.2 s), and 0.1 s of the page.
    assert prices().of("delete") == pytest.approx(1.6)


def test_a_measured_gesture_is_not_modelled_again():
    assert prices().of("delete a brush region") == 10.0


def test_an_unknown_gesture_has_no_price():
    with pytest.raises(KeyError):
        prices().of("wave")


def test_an_outline_costs_by_vertex_and_a_painted_one_by_its_length():
    few, many = ({OUTLINES: 1, "set a vertex": vertices, OUTLINE_CM: 6.0} for vertices in (8, 16))
    price = prices()
    by_vertex = price.of("set a vertex")
    assert price.work(many, tool="polygon") - price.work(few, tool="polygon") == pytest.approx(8 * by_vertex)
    longer = {**few, OUTLINE_CM: 16.0}
    assert price.work(longer, tool="brush") - price.work(few, tool="brush") == pytest.approx(1.6)
    assert price.work(longer, tool="polygon") == price.work(few, tool="polygon")


def test_decisions_cost_the_same_with_every_tool():
    price = prices()
    assert price.work({DECISIONS: 3}, tool="polygon") == price.work({DECISIONS: 3}, tool="brush")


def test_a_correction_by_brush_is_started_once():
    assert prices().work({CORRECTED: 1}, tool="brush") == pytest.approx(1.5)
