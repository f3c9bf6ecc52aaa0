from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from mammo.dicom.identity import identifying


def dataset(**elements: Any) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("elements", "named"),
    [
        ({"PatientName": "DOE^JANE"}, ("PatientName",)),
        ({"PatientID": "4711"}, ("PatientID",)),
        ({"PatientBirthDate": "19560304"}, ("PatientBirthDate",)),
        ({"PatientName": "M\u00fcller^Eva", "PatientID": "1"}, ("PatientName", "PatientID")),
        ({"PatientName": "DOE^JANE", "PatientIdentityRemoved": "NO"}, ("PatientName",)),
    ],
)
def test_a_name_a_number_or_a_birth_date_identifies(elements: dict[str, Any], named: tuple[str, ...]) -> None:
    assert identifying(dataset(**elements)) == named


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PatientName": "", "PatientID": "", "PatientBirthDate": ""},
        {"PatientName": "ANONYMOUS", "PatientID": "ANON-0007"},
        {"PatientName": "^", "PatientID": "XXX", "PatientBirthDate": "19000101"},
        {"PatientName": "DOE^JANE", "PatientID": "4711", "PatientIdentityRemoved": "YES"},
    ],
)
def test_a_file_without_them_or_that_says_they_were_removed_does_not(elements: dict[str, Any]) -> None:
    assert identifying(dataset(**elements)) == ()
