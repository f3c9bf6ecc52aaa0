"""What is filled besides brush, boxes and points: polygons where there is no brush, and the choice about the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.predictions import prediction
from mammo.labelstudio.rendering import to_regions
from mammo.masks import Mask
from mammo.masks.outlines import MIN_IOU

SIZE = Size(160, 120)
BOX = Box(10, 20, 60, 70)
OUTLINES = ControlTags().outlined()
CHOICES = """<View>
  <Image name="image" value="$image"/>
  <PolygonLabels name="line" toName="image"><Label value="MC"/></PolygonLabels>
  <Choices name="said" toName="image"><Choice value="MCC"/><Choice value="No findings"/></Choices>
</View>"""


def disc(radius: float, *, hole: float = 0.0) -> Mask:
    rows, columns = np.mgrid[: BOX.height, : BOX.width]
    distance = np.hypot(rows - 25, columns - 25)
    return Mask((distance <= radius) & (distance >= hole), BOX.x0, BOX.y0)


def finding(mask: Mask | None) -> Finding:
    return Finding(label=CLUSTER, score=0.8, box=BOX, mask=mask, id="c1")


@settings(max_examples=25, deadline=None)
@given(st.floats(1, 24))
def test_a_mask_is_drawn_as_an_outline_and_comes_back_as_nearly_the_same_pixels(
    radius: float,
) -> None:
    mask = disc(radius)
    regions = to_regions([finding(mask)], size=SIZE, tags=OUTLINES, model_version="m1")
    assert [r["type"] for r in regions] == ["polygonlabels"]
    (back,) = from_regions(regions, tags=OUTLINES)
    assert back.mask is not None
    union = back.mask.area + mask.area - back.mask.intersection_area(mask)
    assert back.mask.intersection_area(mask) >= MIN_IOU * union
    assert (back.id, back.box) == ("c1", BOX)


def test_parts_are_joined_to_one_outline_crumbs_left_out_and_holes_filled() -> None:
    ring = disc(20, hole=10)
    ring.bitmap[0, 0] = True
    ring.bitmap[40:, 40:] = True
    (made,) = to_regions([finding(ring)], size=SIZE, tags=OUTLINES, model_version="m1")
    (back,) = from_regions([made], tags=OUTLINES)
    assert back.mask is not None
    assert back.mask.intersection_area(disc(9)) == disc(9).area
    assert back.mask.holds(Point(BOX.x0 + 45, BOX.y0 + 45))
    assert not back.mask.holds(Point(BOX.x0, BOX.y0))


def test_masks_are_outlines_unless_a_project_asks_for_the_brush_or_has_no_outlines() -> None:
    def kind(tags: ControlTags) -> str:
        region = to_regions([finding(disc(9))], size=SIZE, tags=tags, model_version="m1")[0]
        return str(region["type"])

    assert kind(ControlTags()) == kind(ControlTags.read(CHOICES)) == "polygonlabels"
    assert kind(ControlTags().painted()) == kind(ControlTags(polygon=None)) == "brushlabels"
    assert kind(ControlTags(polygon=None, brush=None)) == "rectanglelabels"


def test_what_was_painted_does_not_fit_who_wants_polygons_nor_the_other_way_round() -> None:
    brush = ControlTags().painted()
    painted = to_regions([finding(disc(9))], size=SIZE, tags=brush, model_version="m1")
    outlined = to_regions([finding(disc(9))], size=SIZE, tags=OUTLINES, model_version="m1")
    assert [brush.fit(r) for r in (painted, outlined)] == [True, False]
    assert [OUTLINES.fit(r) for r in (painted, outlined)] == [False, True]


@pytest.mark.parametrize(("findings", "expected"), [([finding(disc(9))], "MCC"), ([], "No findings")])
def test_the_choice_about_the_image_says_what_was_found(findings: list[Finding], expected: str) -> None:
    tags = ControlTags.read(CHOICES)
    predicted = prediction(findings, size=SIZE, tags=tags, model_version="m1")
    (choice,) = [r for r in predicted["result"] if r["type"] == "choices"]
    assert (choice["from_name"], choice["value"]) == ("said", {"choices": [expected]})
    assert LabelInterface(CHOICES).validate_prediction(predicted, return_errors=True) == []
    assert tags.fit(predicted["result"])
    assert len(from_regions(predicted["result"], tags=tags)) == len(findings)


def test_a_project_without_a_word_for_nothing_gets_no_choice_for_nothing() -> None:
    tags = ControlTags.read(CHOICES.replace('<Choice value="No findings"/>', ""))
    assert prediction([], size=SIZE, tags=tags, model_version="m1")["result"] == []


def test_polygons_pass_the_sdks_validator() -> None:
    predicted = prediction([finding(disc(20, hole=10))], size=SIZE, tags=OUTLINES, model_version="m1")
    assert LabelInterface(labeling_config()).validate_prediction(predicted, return_errors=True) == []
