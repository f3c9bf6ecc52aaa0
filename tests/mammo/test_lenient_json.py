"""What others wrote is read, and read back equal."""

import json
import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.lenient_json import canonical, dumps, loads
from tests.hostile_text import ODD_TEXTS

texts = st.text(st.characters(), max_size=5) | st.sampled_from(ODD_TEXTS)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_whatever_python_writes_is_read_and_read_back_equal(value):
    stored = canonical(loads(json.dumps(value).encode()))
    assert canonical(loads(stored)) == stored
    assert repr(loads(stored)) == repr(loads(canonical(loads(stored)))), "NaN is not equal to itself"


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_text_is_the_same_after_it_was_stored(text):
    assert loads(canonical({text: [text]})) == {text: [text]}


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (b"1e400", math.inf),
        (b"-1e400", -math.inf),
        (b"Infinity", math.inf),
        (b"-Infinity", -math.inf),
        (b"9" * 5000, math.inf),
        (b'{"x": "\\ud800", "y": 1' + b"0" * 30 + b"}", 10**30),
    ],
)
def test_numbers_beyond_those_of_others_are_numbers(written, number):
    value = loads(written)
    value = value["y"] if isinstance(value, dict) else value
    assert value == number
    assert loads(canonical([value])) == [number]


def test_not_a_number_stays_so_and_is_no_null():
    assert math.isnan(loads(canonical(loads(b"[NaN]")))[0])


@pytest.mark.parametrize(
    "written", [b"", b"{", b"\xff", b'"\xff"', b"[" * 500_000 + b"]" * 500_000, b"{1: 2}", b"nul"]
)
def test_what_is_no_json_is_one_error(written):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
        loads(written)


def test_what_is_no_json_value_cannot_be_written():
    for value in ({1: object()}, [b"bytes"], {"a": set()}):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
            canonical(value)
    nested = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
        canonical(nested)


def test_arrays_are_lists_also_beside_odd_text():
    assert canonical([np.arange(3, dtype=np.uint8), "\ud800"]) == b'[[0,1,2],"\\ud800"]'


@given(values)
def test_an_answer_is_json_for_every_program(value):
    try:
        answer = dumps(loads(json.dumps(value).encode()))
    except TypeError:  # a number of more than 64 bits; answers hold none
        return
    orjson.loads(answer)


def test_half_a_character_is_answered_as_its_escape():
    assert dumps({"\ud800": ("a\udfff",)}) == b'{"\\\\ud800":["a\\\\udfff"]}'
