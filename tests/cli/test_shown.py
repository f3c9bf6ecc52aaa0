from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.shown import file_stem, shown


@given(st.text())
def test_what_is_shown_moves_no_cursor_and_is_short(text: str) -> None:
    line = shown(text, length=20)
    assert len(line) <= 20
    assert all(character.isprintable() for character in line)


@given(st.text())
def test_a_file_stem_stays_in_its_folder(text: str) -> None:
    stem = file_stem(text)
    assert stem
    assert not stem.startswith(".")
    assert "/" not in stem
    assert "\\" not in stem


def test_a_sound_name_is_kept() -> None:
    assert file_stem("PHANTOM-000001_LCC.v2") == "PHANTOM-000001_LCC.v2"
    assert file_stem("../../etc/passwd") == "etc_passwd"
    assert shown("a" * 70).endswith("…")
