from __future__ import annotations

import numpy as np
import pytest

from mammo.phantom import phantom_view

SIDE = {"width": 640, "height": 768}


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_detector_counts_fall_where_the_picture_is_bright(laterality: str) -> None:
    view = phantom_view(2, laterality="L" if laterality == "L" else "R", for_processing=True, **SIDE)
    assert view.raw is not None
    assert view.raw.dtype == np.uint16
    assert view.raw.shape == view.stored.shape
    assert int(view.raw.max()) < 2**14
    breast = view.stored > 0
    picture, logarithm = view.stored[breast].astype(float), np.log(view.raw[breast].astype(float))
    assert np.corrcoef(picture, logarithm)[0, 1] < -0.6
    assert np.median(view.raw[~breast]) > 4 * np.median(view.raw[breast])


def test_the_breast_gets_thinner_towards_its_rim() -> None:
    view = phantom_view(2, clusters=0, num_distractors=0, for_processing=True, **SIDE)
    assert view.raw is not None
    row = view.raw[300:360].mean(axis=0)
    edge = int(np.argmax(row > 9000))
    assert edge > 50
    assert row[edge - 8] > 1.5 * row[edge - 60]


def test_raw_values_are_drawn_only_on_request_and_the_same_each_time() -> None:
    assert phantom_view(2, **SIDE).raw is None
    one, again = (phantom_view(2, for_processing=True, **SIDE).raw for _ in range(2))
    assert one is not None
    assert again is not None
    np.testing.assert_array_equal(one, again)
