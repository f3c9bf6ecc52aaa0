from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.dicom.projection import SCT_CODES
from mammo.errors import InvalidTaskData
from mammo.geometry import Spacing
from mammo.stated_facts import VIEWS, stated_laterality, stated_spacing, stated_view


@pytest.mark.parametrize(
    "value",
    [0.07, "0.07", "0,07", " 0.07 ", ".07", ",07", "7e-2", [0.07], [0.07, 0.07], ["0,07", "0.07"], (0.07, 0.07),
     "0.07\\0.07", "0,07\\0,07", "[0.07, 0.07]", '["0.07", "0.07"]'],
)  # fmt: skip
def test_a_spacing_is_read_in_every_way_it_is_written(value: object) -> None:
    assert stated_spacing(value) == Spacing(0.07, 0.07, "given")


def test_rows_and_columns_may_differ_and_one_millimetre_may_be_whole() -> None:
    assert stated_spacing([0.05, "0,1"]) == Spacing(0.05, 0.1, "given")
    assert stated_spacing(1) == Spacing(1.0, 1.0, "given")


@pytest.mark.parametrize("value", [None, "", "  ", [], [None, None], ["", ""], math.nan, "[]"])
def test_where_nothing_is_stated_there_is_no_spacing(value: object) -> None:
    assert stated_spacing(value) is None


@pytest.mark.parametrize(
    "value",
    [True, "wide", "0.07 mm", "1,000.5", "0.07;0.07", 0, 0.0, -0.07, 70, "70", math.inf, "nan", [0.07, None],
     [0.07] * 3, [True, 0.07],
     {"row": 0.07}, "[0.07", "[" * 99, "0.07\\", "9" * 5000, [[[0.07]], "x"], "\u0660.\u0660\u0667"],
)  # fmt: skip
def test_a_spacing_that_cannot_be_read_is_refused_and_never_passed_over(value: object) -> None:
    with pytest.raises(InvalidTaskData, match="spacing_mm: expected"):
        stated_spacing(value)


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_spacing_comes_back_from_its_text(row: float, column: float) -> None:
    expected = Spacing(row, column, "given")
    assert stated_spacing(f"{row!r}\\{column!r}".replace(".", ",")) == expected
    assert stated_spacing(str([row, column])) == expected


@pytest.mark.parametrize(
    ("value", "side"),
    [("L", "L"), ("left", "L"), (" R ", "R"), ("RIGHT", "R"), ("", None), (None, None), (math.nan, None)],
)
def test_a_breast_is_left_or_right(value: object, side: str | None) -> None:
    assert stated_laterality(value) == side


@pytest.mark.parametrize(
    ("value", "view"), [("cc", "CC"), ("Medio-Lateral Oblique", "MLO"), ("cranio-caudal", "CC"), (None, None)]
)
def test_a_view_is_read_by_either_name(value: object, view: str | None) -> None:
    assert stated_view(value) == view


@pytest.mark.parametrize("value", ["B", "lateral", 1, True, ["L"]])
def test_another_breast_or_view_is_refused(value: object) -> None:
    with pytest.raises(InvalidTaskData):
        stated_laterality(value)
    with pytest.raises(InvalidTaskData):
        stated_view(value)


def test_the_views_are_those_that_files_state() -> None:
    assert set(VIEWS) == set(SCT_CODES)
