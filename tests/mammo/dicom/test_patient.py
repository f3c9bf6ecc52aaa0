from __future__ import annotations

import pytest

from mammo.dicom import patient_key, read_mammogram
from tests.mammo.dicom.files import mammogram_file


def test_a_key_is_stable_per_site_and_unlike_the_id() -> None:
    key = patient_key("4711", b"site one")
    assert key == patient_key(" 4711 ", b"site one")
    assert len(key) == 16
    assert "4711" not in key
    assert key != patient_key("4711", b"site two")
    assert key != patient_key("4712", b"site one")


@pytest.mark.parametrize(
    ("one", "other"),
    [("J\u00f6rg^A", "Jo\u0308rg^A"), ("P 1", "P  1"), ("P1\0", "P1"), ("\uff14711", "4711")],
)
def test_a_person_has_one_key_however_the_id_is_written(one: str, other: str) -> None:
    assert patient_key(one, b"secret") == patient_key(other, b"secret")


def test_files_whose_ids_are_written_differently_are_of_one_person() -> None:
    keys = {
        read_mammogram(mammogram_file(patient_id=written), patient_secret=b"secret").patient
        for written in ("P 1", "P  1")
    }
    assert len(keys) == 1
    nobody = read_mammogram(mammogram_file(patient_id="\u200b"), patient_secret=b"secret")
    assert nobody.patient is None


@pytest.mark.parametrize(("patient_id", "secret"), [("", b"secret"), ("  ", b"secret"), ("4711", b"")])
def test_nothing_is_keyed_without_an_id_and_a_secret(patient_id: str, secret: bytes) -> None:
    with pytest.raises(ValueError, match="patient key"):
        patient_key(patient_id, secret)
