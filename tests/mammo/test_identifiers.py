from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.dicom import patient_key
from mammo.errors import InvalidTaskData
from mammo.identifiers import MAX_EXACT, MAX_KEY, identifier, pseudonym, stored_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (4700, "4700"),
        (4700.0, "4700"),
        ("4700.0", 4700),
        ("4700.000", "4700"),
        ("P1 ", "P1"),
        ("\tP1\n", "P1"),
        ("P1\0", "P1"),
        ("P\u200b1\ufeff", "P1"),
        ("P 1", "P\u00a0 1"),
        ("J\u00f6rg", "Jo\u0308rg"),
        ("\uff30\uff11", "P1"),
        ("\ufb01n", "fin"),
        (0, "0"),
        (-0.0, 0),
        (2**80, str(2**80)),
        (MAX_EXACT, float(MAX_EXACT)),
    ],
)
def test_one_value_in_two_forms_is_one_identifier(one: object, other: object) -> None:
    assert identifier(one) == identifier(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (4700, 4701),
        ("0047", "47"),
        ("p1", "P1"),
        ("P1.0", "P1"),
        ("1.10", "1.1"),
        ("00.0", "0"),
        (MAX_EXACT, MAX_EXACT + 1),
        ("山田花子", "山田太郎"),
        ("x" * 200 + "1", "x" * 200 + "2"),
    ],
)
def test_two_values_stay_two(one: object, other: object) -> None:
    assert identifier(one) != identifier(other)


@pytest.mark.parametrize("value", [None, "", "  ", "\0\0", "\u200b", math.nan])
def test_where_nothing_is_stated_there_is_no_identifier(value: object) -> None:
    assert identifier(value) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "a truth value"),
        (False, "a truth value"),
        ([], "a list"),
        (["P1"], "a list"),
        ({"id": 1}, "an object"),
        (b"P1", "bytes"),
        (math.inf, "fraction"),
        (4700.5, "fraction"),
        (float(2**53) + 2, "lost digits"),
        (1e30, "lost digits"),
        ("P\ud800", "surrogate"),
    ],
)
def test_what_names_nobody_for_certain_is_refused_with_a_reason(value: object, reason: str) -> None:
    with pytest.raises(InvalidTaskData, match=reason):
        identifier(value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_compared_form_is_its_own_and_that_of_every_normal_form(text: str) -> None:
    normalised = identifier(text)
    assert identifier(normalised) == normalised
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert identifier(unicodedata.normalize(form, text)) == normalised  # type: ignore[arg-type]


@given(st.integers())
def test_a_whole_number_is_its_text(number: int) -> None:
    assert identifier(number) == identifier(str(number)) == str(number)


@given(st.floats(allow_nan=False))
def test_a_number_with_a_point_is_its_whole_number_or_refused(number: float) -> None:
    if number.is_integer() and abs(number) <= MAX_EXACT:
        assert identifier(number) == str(int(number))
    else:
        with pytest.raises(InvalidTaskData):
            identifier(number)


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_a_stored_key_fits_and_tells_apart(one: str, other: str) -> None:
    assert len(stored_key(one)) <= MAX_KEY
    assert (stored_key(one) == stored_key(other)) == (one == other)


def test_people_read_a_short_pseudonym_of_a_patient_key() -> None:
    assert pseudonym("0123456789abcdef") == "04HM-ASW9"
    assert pseudonym("ffffffffffffffff") == "ZZZZ-ZZZZ"


@given(st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), min_size=2, max_size=20))
def test_pseudonyms_sort_as_the_keys_do(keys: list[str]) -> None:
    assert [pseudonym(each) for each in sorted(keys)] == sorted(map(pseudonym, keys))


def test_ten_thousand_patients_of_a_site_have_different_pseudonyms() -> None:
    keys = [patient_key(f"patient {number}", b"a site's secret") for number in range(10_000)]
    assert len(set(map(pseudonym, keys))) == len(keys)


@pytest.mark.parametrize("other", ["", "p1", "PHANTOM-000006", 4711, "0123456789ABCDEF", "é" * 16])
def test_what_is_no_key_of_ours_is_read_as_it_is(other: object) -> None:
    assert pseudonym(other) == str(other)
    assert pseudonym(None) == ""
