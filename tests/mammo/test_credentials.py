from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.credentials import decodings, sendable
from mammo.errors import InvalidSettings
from mammo.settings import Settings

LATIN = st.text(st.characters(codec="latin-1", categories=("L", "N", "P", "S")), min_size=1)


@given(LATIN)
def test_what_label_studio_can_send_is_read_in_both_encodings_and_both_forms(password: str) -> None:
    sent = sendable(password)
    assert decodings(sent.encode("latin-1"))[1] == sent
    assert sent in decodings(sent.encode("utf-8"))
    apart = unicodedata.normalize("NFD", sent)
    assert sent in decodings(apart.encode("utf-8"))
    assert sendable(apart) == sent


@pytest.mark.parametrize("name", ["auth_password", "webhook_secret", "auth_user", "label_studio_api_key"])
@pytest.mark.parametrize("text", ["pass€word-long", "密码密码密码密码", "Łódź-password", "emoji-😀-password"])
def test_what_label_studio_cannot_send_is_refused_with_the_place_of_the_character(
    name: str, text: str
) -> None:
    with pytest.raises(
        InvalidSettings, match="is not in Latin-1, the only encoding in which Label Studio sends"
    ) as error:
        Settings.load(**{name: text})
    assert f"YOLO_MLSAM_{name.upper()}: character " in str(error.value)
    assert text not in str(error.value)


@pytest.mark.parametrize(
    "text", ["two\nlines-of-a-password", "a\ttab-in-a-password", "zero\0-in-a-password", "a\x85b-c1-control"]
)
def test_a_control_character_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="no header can contain"):
        Settings.load(webhook_secret=text)


@pytest.mark.parametrize("user", ["a:b", "", "  "])
def test_a_user_name_that_basic_auth_cannot_tell_from_its_password_is_refused(user: str) -> None:
    with pytest.raises(InvalidSettings, match="without a colon"):
        Settings.load(auth_user=user)


def test_a_line_end_of_a_file_is_no_part_of_a_secret() -> None:
    assert (
        Settings.load(auth_password="long-password\r\n").auth_password.get_secret_value() == "long-password"
    )
