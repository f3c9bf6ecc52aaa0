"""Charts of the console."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from backend.console.charts import HEIGHT, WIDTH, Mark, Series, line_chart


def test_every_value_is_a_dot_inside_the_picture() -> None:
    chart = line_chart("losses", [Series("a", [(0, 1), (1, 3), (2, 2)]), Series("b", [(1, 5.0)])])
    picture = ElementTree.fromstring(str(chart))
    dots = [each for each in picture.iter() if each.tag == "circle" and "cx" in each.attrib]
    assert len(dots) == 4
    for dot in dots:
        assert 0 <= float(dot.get("cx", "")) <= WIDTH
        assert 0 <= float(dot.get("cy", "")) <= HEIGHT
    assert picture.get("aria-label") == "losses"


def test_a_hostile_name_is_text() -> None:
    chart = line_chart("<b>", [Series("<script>", [(0, 0)])], marks=[Mark(0, "</title><script>")])
    assert "<script>" not in chart
    assert "&lt;script&gt;" in chart
    assert not re.search(r"\sstyle=", chart)


def test_a_mark_outside_the_values_is_left_out_and_nothing_is_no_chart() -> None:
    assert "later" not in line_chart("t", [Series("a", [(0, 0), (1, 1)])], marks=[Mark(7, "later")])
    assert line_chart("t", [Series("a", [])]) == ""


def test_more_lines_than_colours_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 4"):
        line_chart("t", [Series(str(n), [(0, 0)]) for n in range(5)])
