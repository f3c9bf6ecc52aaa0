from __future__ import annotations

import pytest
from pydantic import ValidationError

from mammo.detector.spec import SPEC, DetectorSpec


def test_a_spec_comes_back_from_its_json() -> None:
    spec = DetectorSpec(scale="s", p2=True, attention="eca", after=(2, 4, 6), tile=640, overlap=128)
    assert SPEC.validate_json(SPEC.dump_json(spec)) == spec


@pytest.mark.parametrize(
    "document",
    [
        '{"scale": "huge"}',
        '{"tile": 1000}',
        '{"tile": 1000000}',
        '{"after": [-1]}',
        '{"after": []}',
        '{"class_width": 8}',
        '{"normalisation": "other"}',
        '{"unknown": 1}',
        "[]",
        "{",
    ],
)
def test_a_spec_nobody_could_build_is_refused(document: str) -> None:
    with pytest.raises(ValidationError):
        SPEC.validate_json(document)


def test_an_overlap_that_leaves_no_progress_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="at most half the tile"):
        DetectorSpec(tile=512, overlap=300)
