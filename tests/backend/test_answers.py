"""Brush streams are written by table; what comes out is the JSON of the same numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.answers import Json
from mammo.lenient_json import canonical


@given(st.binary(max_size=600))
def test_an_array_of_bytes_is_written_as_the_list_of_its_numbers(stream: bytes) -> None:
    content = {"results": [{"result": [{"rle": np.frombuffer(stream, np.uint8), "id": "a"}]}]}
    assert json.loads(Json(content).body) == {"results": [{"result": [{"rle": list(stream), "id": "a"}]}]}


def test_a_view_of_an_array_is_written_as_what_it_shows() -> None:
    assert json.loads(Json({"rle": np.arange(20, dtype=np.uint8)[1::3]}).body) == {
        "rle": [1, 4, 7, 10, 13, 16, 19]
    }


@pytest.mark.parametrize(
    "value",
    [np.zeros(3, np.int64), np.zeros((2, 2), np.uint8), object(), {1, 2}],
    ids=lambda v: type(v).__name__,
)
def test_nothing_else_is_guessed_at(value: Any) -> None:
    with pytest.raises(TypeError):
        Json({"rle": value})


def test_a_stored_prediction_is_the_same_text_whether_its_stream_was_a_list_or_an_array() -> None:
    stream = np.arange(200, dtype=np.uint8)
    assert canonical([{"rle": stream}]) == canonical([{"rle": stream.tolist()}])
