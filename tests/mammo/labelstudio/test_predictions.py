"""The score of a prediction grows with suspicion; certainty is that of the least certain finding."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.predictions import NOTHING_FOUND_CERTAINTY, certainty, prediction
from tests.training.detections import square

scores = st.lists(st.floats(0, 1), max_size=4)


@given(scores)
def test_the_score_is_that_of_the_most_likely_finding_and_certainty_that_of_the_least(
    found: list[float],
) -> None:
    findings = [replace(square(9 * n, 5), score=score, id=str(n)) for n, score in enumerate(found)]
    made = prediction(findings, size=Size(64, 48), tags=ControlTags(), model_version="m1")
    assert made["score"] == max(found, default=0.0)
    assert certainty(findings) == min(found, default=NOTHING_FOUND_CERTAINTY)
