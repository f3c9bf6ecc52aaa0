from __future__ import annotations

import pytest

from mammo.dicom import patient_key


def test_a_key_is_stable_per_site_and_unlike_the_id() -> None:
    key = patient_key("4711", b"site one")
    assert key == patient_key(" 4711 ", b"site one")
    assert len(key) == 16
    assert "4711" not in key
    assert key != patient_key("4711", b"site two")
    assert key != patient_key("4712", b"site one")


@pytest.mark.parametrize(("patient_id", "secret"), [("", b"secret"), ("  ", b"secret"), ("4711", b"")])
def test_nothing_is_keyed_without_an_id_and_a_secret(patient_id: str, secret: bytes) -> None:
    with pytest.raises(ValueError, match="patient key"):
        patient_key(patient_id, secret)
