"""The scripted reader submits what Label Studio's editor would; what it means tells wrong datasets from right ones."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.corrections.meaning import Meaning, Stored, compare
from benchmarks.corrections.reader import KINDS, Impossible, Reader, Result
from benchmarks.corrections.shapes import RECORDED, shapes
from mammo.exam_views import EXAM_VIEWS
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.relations import same_lesion
from mammo.labelstudio.rendering import to_regions
from mammo.masks import Mask

SIZE = Size(1200, 1560)
TAGS = ControlTags.read(exam_config())
IMAGES = {each.image: each for each in (TAGS, *TAGS.siblings)}


def prediction() -> list[dict[str, Any]]:
    """Two findings on each view, one of them linked in the right breast."""
    result: list[dict[str, Any]] = []
    for view in EXAM_VIEWS:
        findings = [
            Finding(
                label=CLUSTER,
                score=0.8,
                box=box,
                mask=Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0),
                id=f"c{number}",
            )
            for number, box in enumerate((Box(180, 240, 300, 390), Box(660, 990, 810, 1110)))
        ]
        result += to_regions(findings, size=SIZE, tags=IMAGES[view.name], model_version="m")
    return [*result, same_lesion("RCC-c0", "RMLO-c0")]


def answered(result: list[Result], click: Result) -> list[Result]:
    """Answer a click with a square around it, or with the outline that it lies in or near."""
    x, y, view = click["value"]["x"], click["value"]["y"], click["to_name"]
    for each in result:
        if each["type"] == "polygonlabels" and each["to_name"] == view:
            xs, ys = zip(*each["value"]["points"], strict=True)
            if min(xs) - 2 < x < max(xs) + 2 and min(ys) - 2 < y < max(ys) + 2:
                points = [[px + 0.5, py] for px, py in each["value"]["points"]]
                return [{**each, "value": {**each["value"], "points": points}}]
    square = [[x - 2, y - 2], [x + 2, y - 2], [x + 2, y + 2], [x - 2, y + 2]]
    place = {key: click[key] for key in ("original_width", "original_height", "image_rotation", "to_name")}
    region = {"id": f"s{x:.3f}", "from_name": f"outline-{view}", "type": "polygonlabels", "score": 0.7}
    value = {"points": square, "closed": True, "polygonlabels": ["Cluster"]}
    return [{**place, **region, "value": value, "meta": {"prompt": "points"}}]


def reader(seed: int) -> Reader:
    tissue = {view.name: np.ones((SIZE.height, SIZE.width), np.bool_) for view in EXAM_VIEWS}
    return Reader(prediction(), size=SIZE, tissue=tissue, random_=random.Random(seed), ask=answered)


def corrected(seed: int) -> Reader:
    one = reader(seed)
    for kind in random.Random(seed).sample(KINDS, len(KINDS)):
        one.correct(kind)
    return one


def stored(result: list[Result]) -> dict[str, list[Stored]]:
    """What a dataset version would hold."""
    return {
        name: [
            Stored(each.mask.full(SIZE).astype(np.bool_), each.descriptors, each.lesion)
            for each in from_regions(result, tags=tags)
            if each.mask is not None
        ]
        for name, tags in IMAGES.items()
    }


@pytest.mark.parametrize("seed", range(4))
def test_what_is_submitted_means_what_the_reader_meant_in_shapes_that_were_recorded(seed: int) -> None:
    one = corrected(seed)
    assert shapes(one.result) <= RECORDED
    assert compare(one.meaning, stored(one.result), size=SIZE) == []


def test_a_finding_more_or_less_another_word_and_another_link_are_noticed() -> None:
    one = reader(0)
    right = stored(one.result)
    assert compare(one.meaning, right, size=SIZE) == []
    assert compare(one.meaning, right | {"RCC": right["RCC"][1:]}, size=SIZE)
    assert compare(one.meaning, right | {"RCC": [*right["RCC"], right["LCC"][0]]}, size=SIZE)
    said = [replace(each, words={"morphology": "amorphous"}) for each in right["LCC"]]
    assert compare(one.meaning, right | {"LCC": said}, size=SIZE)
    assert compare(Meaning(findings=one.meaning.findings), right, size=SIZE)


def test_nothing_is_left_to_correct_where_all_is_left_as_it_is() -> None:
    one = reader(1)
    for _ in one.meaning.findings:
        one.correct("untouched")
    with pytest.raises(Impossible):
        one.correct("deleted")
