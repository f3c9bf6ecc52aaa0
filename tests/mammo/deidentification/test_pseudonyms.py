from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.deidentification.pseudonyms import Pseudonyms, age_band
from mammo.dicom.source import UID

KEY = b"sixteen bytes or more"
dates = st.dates(min_value=datetime(1920, 1, 1).date()).map(lambda day: f"{day:%Y%m%d}")


@given(st.text(max_size=64))
def test_a_new_uid_is_a_uid_and_always_the_same(original: str) -> None:
    new = Pseudonyms(KEY).uid(original)
    assert UID.fullmatch(new)
    assert len(new) <= 64
    assert new == Pseudonyms(KEY).uid(original)
    assert new != Pseudonyms(b"another key of 16+").uid(original)


def test_two_originals_have_two_pseudonyms() -> None:
    names = Pseudonyms(KEY)
    assert (
        len({names.uid(f"1.2.{i}") for i in range(200)} | {names.patient_id(f"{i}") for i in range(200)})
        == 400
    )


@given(dates, dates, st.text(min_size=1, max_size=10))
def test_days_between_two_dates_of_a_patient_stay_what_they_were(one: str, other: str, patient: str) -> None:
    def day(value: str) -> datetime:
        return datetime.strptime(value, "%Y%m%d")

    moved = [Pseudonyms(KEY).date(value, patient=patient) for value in (one, other)]
    assert day(moved[1]) - day(moved[0]) == day(other) - day(one)
    assert 1 <= (day(one) - day(moved[0])).days <= 3650


def test_two_patients_are_moved_by_different_days() -> None:
    assert len({Pseudonyms(KEY).date("20240301", patient=str(i)) for i in range(50)}) > 40


@pytest.mark.parametrize("value", ["", "2024", "20241399", "00010101", "DOE^JANE", "20240101235959"])
def test_what_is_no_date_is_left_out(value: str) -> None:
    assert Pseudonyms(KEY).date(value, patient="p") == ""


@pytest.mark.parametrize(
    ("age", "band"),
    [("063Y", "060Y"), ("060Y", "060Y"), ("004Y", "000Y"), ("089Y", "085Y"), ("097Y", "090Y"), ("130Y", "090Y"),
     ("018M", "000Y"), ("", ""), ("63", ""), ("DOE", "")],
)  # fmt: skip
def test_an_age_becomes_a_band_of_five_years(age: str, band: str) -> None:
    assert age_band(age) == band


def test_an_age_is_worked_out_from_dates_when_it_is_not_given() -> None:
    assert age_band("", birth="19440229", study="20240228") == "075Y"
    assert age_band("", birth="19440229", study="20240301") == "080Y"
    assert age_band("", birth="unknown", study="20240301") == ""


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Pseudonyms(b"short")
