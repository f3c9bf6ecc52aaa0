"""The header of an exam states the model version of the outlines that are shown."""

from __future__ import annotations

import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.shown_version import short_version, version_results


@pytest.mark.parametrize(
    ("version", "short"),
    [
        ("m0002-3fa9c2d1", "m0002"),
        ("p12345-3fa9c2d1", "p12345"),
        ("starter-1e896848", "starter"),
        ("starter-2026.11", "starter-2026.11"),
        ("m0002-3fa9c2d1x", "m0002-3fa9c2d1x"),
    ],
)
def test_a_numbered_version_is_named_by_its_number(version: str, short: str) -> None:
    assert short_version(version) == short


@pytest.mark.parametrize("descriptors", [True, False])
def test_an_exam_states_it_once_and_label_studio_shows_it(*, descriptors: bool) -> None:
    config = exam_config(descriptors=descriptors)
    (result,) = version_results(config, version="m0002-3fa9c2d1")
    assert result["value"] == {"text": ["Outlined by model m0002"]}
    prediction = {"result": [result], "score": 0.5, "model_version": "m0002-3fa9c2d1"}
    assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []


def test_it_is_no_finding_and_no_note() -> None:
    config = exam_config()
    tags = ControlTags.read(config)
    for each in (tags, *tags.siblings):
        assert from_regions(version_results(config, version="m0002-3fa9c2d1"), tags=each) == []
        assert each.note != "model-version"


def test_a_config_without_a_place_for_it_gets_none() -> None:
    assert version_results(image_config(), version="m0002-3fa9c2d1") == []
