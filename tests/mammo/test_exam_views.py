"""The views of an exam: their names, order and keys, on which stored tasks depend."""

from __future__ import annotations

from mammo.exam_views import EXAM_VIEWS, exam_view, has_exam_keys


def test_the_chest_walls_of_each_pair_are_back_to_back():
    assert [each.name for each in EXAM_VIEWS] == ["RCC", "LCC", "RMLO", "LMLO"]


def test_the_keys_of_a_view_begin_with_its_name_in_small_letters():
    view = exam_view("R", "MLO")

    assert view is not None
    assert (view.key, view.title, view.title_key, view.fact_key("sha256")) == (
        "rmlo",
        "R MLO",
        "rmlo_title",
        "rmlo_sha256",
    )


def test_a_view_that_is_not_one_of_the_four_has_no_place():
    assert exam_view("R", "ML") is None
    assert exam_view(None, "CC") is None


def test_a_task_with_a_missing_view_has_its_key():
    data = {"rcc": "/a.png", "lcc": "", "rmlo": "/b.png", "lmlo": "/c.png"}

    assert has_exam_keys(data)
    assert not has_exam_keys({key: value for key, value in data.items() if key != "lcc"})
