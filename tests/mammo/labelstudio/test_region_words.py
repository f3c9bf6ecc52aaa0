"""Words about a region reach every finding that has its pixels, whatever tool drew it, and never another one."""

from __future__ import annotations

from typing import Any

import pytest

from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from tests.mammo.labelstudio.drawn import SIZE, A, B, brush, filled, point, polygon, rectangle

TAGS = ControlTags.read(image_config())


def said(region: dict[str, Any], word: str, comment: str = "") -> list[dict[str, Any]]:
    """A morphology and a comment about a region, as the page of one image stores them."""
    shape = {key: value for key, value in region["value"].items() if key != region["type"]}
    results = [
        region | {"from_name": "morphology", "type": "choices", "value": shape | {"choices": [word]}},
    ]
    if comment:
        text = shape | {"text": [comment]}
        results.append(region | {"from_name": "comment", "type": "textarea", "value": text})
    return results


def found(*result: dict[str, Any]) -> list[Finding]:
    return from_regions(result, tags=TAGS, size=SIZE)


def test_what_is_said_about_a_painted_mask_holds_for_each_of_its_patches() -> None:
    mask, other = brush(filled(A, B)), brush(filled(B.shifted(40, 45)), id="b2")
    read = found(mask, *said(mask, "amorphous", "twice"), other)
    assert {each.id: (each.morphology, each.comment) for each in read} == {
        "part-10-20": ("amorphous", "twice"),
        "part-60-20": ("amorphous", "twice"),
        "part-100-65": (None, ""),
    }


def test_what_is_said_about_an_outline_in_a_box_holds_for_their_finding() -> None:
    box, outline = rectangle(A), polygon(A)
    (one,) = found(box, outline, *said(outline, "round", "in the outline"))
    assert (one.id, one.morphology, one.comment) == ("r", "round", "in the outline")
    (both,) = found(
        box, *said(box, "round", "of the box"), outline, *said(outline, "round", "of the outline")
    )
    assert (both.morphology, both.comment) == ("round", "of the box\nof the outline")


def test_what_is_said_about_a_point_within_a_finding_is_said_about_it() -> None:
    marked = point(A.x0 + 3, A.y0 + 3, id="k")
    (one,) = found(polygon(A), marked, *said(marked, "rim"))
    assert one.morphology == "rim"


def test_a_region_of_its_own_says_nothing_about_another_that_it_overlaps() -> None:
    outline, mask = polygon(A), brush(filled(A))
    read = found(outline, *said(outline, "amorphous"), mask)
    assert sorted((each.id, each.morphology) for each in read) == [("p", "amorphous"), ("part-10-20", None)]


def test_different_words_about_one_finding_are_refused_and_none_is_chosen() -> None:
    box, mask = rectangle(A), brush(filled(A))
    with pytest.raises(InvalidRegion, match="different words as morphology: amorphous, round") as error:
        found(box, *said(box, "round"), mask, *said(mask, "amorphous"))
    assert error.value.code == "two_words"
