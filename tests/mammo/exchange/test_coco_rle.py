from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from faster_coco_eval.core import mask as reference
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mammo.errors import InvalidRegion
from mammo.exchange.coco_rle import mask_of_rle
from mammo.geometry import Size

SIZE = Size(3, 2)


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 1)))
def test_run_lengths_of_the_reference_encoder_come_back(bitmap: Any) -> None:
    height, width = bitmap.shape
    rle = reference.encode(np.asfortranarray(bitmap))
    mask = mask_of_rle({"size": [height, width], "counts": rle["counts"].decode()}, size=Size(width, height))
    painted = np.zeros_like(bitmap) if mask is None else mask.full(Size(width, height))
    np.testing.assert_array_equal(painted, bitmap)


def test_uncompressed_counts_run_column_by_column() -> None:
    mask = mask_of_rle({"size": [2, 3], "counts": [1, 2, 3]}, size=SIZE)
    assert mask is not None
    np.testing.assert_array_equal(mask.full(SIZE), [[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [2, 3], "counts": [1, 2]},
        {"size": [2, 3], "counts": [1, 2, 10**12]},
        {"size": [2, 3], "counts": [-3, 9]},
        {"size": [2, 3], "counts": [1.5, 4.5]},
        {"size": [2, 3], "counts": [True, 5]},
        {"size": [2, 3], "counts": None},
        {"size": [2, 3], "counts": "\x00"},
        {"size": [2, 3], "counts": "oooo"},
        {"size": [2, 3], "counts": "o" * 1000},
        {"size": [2, 3], "counts": "é1"},
        {"size": [3, 2], "counts": [6]},
        {"size": None, "counts": [6]},
        {"size": 6, "counts": [6]},
        {},
    ],
)
def test_lying_run_lengths_are_refused(rle: dict[str, Any]) -> None:
    with pytest.raises(InvalidRegion):
        mask_of_rle(rle, size=SIZE)
