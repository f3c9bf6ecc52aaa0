from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mammo.printable import MAX_NAME, file_stem, output_name, printable, printable_path


@given(st.text())
def test_what_is_shown_moves_no_cursor_and_is_short(text: str) -> None:
    line = printable(text, length=20)
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
    assert printable("a" * 70).endswith("…")


def test_a_byte_that_is_no_utf_8_is_shown_as_a_number() -> None:
    assert printable(os.fsdecode(b"rechts_\xfcber.dcm")) == r"rechts_\xfcber.dcm"


@given(st.text(max_size=4000))
def test_a_path_is_shown_on_one_line_and_ends_with_its_name(text: str) -> None:
    line = printable_path(Path("folder" * 100) / f"{text} name.dcm")
    assert all(character.isprintable() for character in line)
    assert line.endswith("name.dcm")


@given(st.text(max_size=400))
def test_an_output_name_can_be_printed_and_is_short_enough_for_an_ending(text: str) -> None:
    name = output_name(text)
    assert name.isprintable()
    assert 0 < len(name.encode()) <= MAX_NAME


def test_an_output_keeps_a_name_that_does_no_harm() -> None:
    assert output_name("Müller (1) 王伟") == "Müller (1) 王伟"
