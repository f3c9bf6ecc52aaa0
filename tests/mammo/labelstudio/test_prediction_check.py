"""Our predictions pass the SDK's validator before they leave, whatever the size of their masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.labelstudio import ControlTags, labeling_config, prediction
from mammo.labelstudio.prediction_check import validation_errors
from mammo.masks import Mask

BOX = Box(10, 10, 40, 30)


def made() -> dict[str, Any]:
    mask = Mask(np.ones((20, 30), np.bool_), 10, 10)
    finding = Finding(label=CLUSTER, score=0.7, box=BOX, prompts=(Point(12, 12),), mask=mask)
    return prediction([finding], size=Size(100, 80), tags=ControlTags().painted(), model_version="m1")


def test_what_we_make_passes_and_is_not_changed() -> None:
    prediction = made()
    stream = prediction["result"][0]["value"]["rle"]
    assert validation_errors(prediction, config=labeling_config()) == []
    assert prediction["result"][0]["value"]["rle"] is stream


@pytest.mark.parametrize(
    "change",
    [{"from_name": "nobody"}, {"type": "choices"}, {"to_name": "picture"}, {"value": {"x": 5}}],
)
def test_a_region_that_label_studio_would_store_and_never_show_is_found(change: dict[str, Any]) -> None:
    prediction = made()
    prediction["result"][0] |= change
    assert validation_errors(prediction, config=labeling_config()) != []


def test_a_score_outside_its_range_is_found() -> None:
    assert validation_errors(made() | {"score": 1.7}, config=labeling_config()) != []
