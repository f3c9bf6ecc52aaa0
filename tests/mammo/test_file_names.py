from __future__ import annotations

import os
from pathlib import Path

import pytest

from mammo.errors import UnreadableImage
from mammo.file_names import files_of, real_path, require_text

LATIN_1 = os.fsdecode(b"\xfcber.dcm")
"""A name as an old archive has it: its first byte is no UTF-8."""


def test_files_come_in_order_of_name_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("b/2.dcm", "a/9.dcm", LATIN_1, "line\nbreak.dcm", "\u202egnp.dcm", "z" * 255):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "alone.png").touch()
    files = list(files_of([tmp_path / "in", tmp_path / "alone.png", tmp_path / "missing.png"]))
    below, named = files[:6], files[6:]
    assert below == sorted(below)
    assert {path.name for path in below} == {
        "2.dcm", "9.dcm", LATIN_1, "line\nbreak.dcm", "\u202egnp.dcm", "z" * 255,
    }  # fmt: skip
    assert named == [tmp_path / "alone.png", tmp_path / "missing.png"]


def test_a_folder_that_cannot_be_looked_into_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.dcm").touch()
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(files_of([tmp_path])) == [tmp_path / "a.dcm", tmp_path / "closed"]


def test_a_link_to_nothing_and_a_link_to_itself_are_found_for_whoever_refuses_them(tmp_path: Path) -> None:
    (tmp_path / "nothing.dcm").symlink_to("nowhere")
    (tmp_path / "self.dcm").symlink_to("self.dcm")
    assert [path.name for path in files_of([tmp_path])] == ["nothing.dcm", "self.dcm"]


@pytest.mark.parametrize("path", [LATIN_1, f"folder/{LATIN_1}", f"{LATIN_1}/1.dcm", "\ud800.dcm"])
def test_a_path_that_is_no_text_is_refused(path: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        require_text(Path(path))
    assert caught.value.code == "file_name"
    str(caught.value).encode()


@pytest.mark.parametrize("path", ["a.dcm", "Müller.dcm", "line\nbreak", "\u202egnp.dcm", "王伟/1.dcm"])
def test_any_text_is_accepted(path: str) -> None:
    require_text(path)


def test_links_are_resolved_and_the_file_need_not_exist(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("b")
    assert real_path(tmp_path / "link" / "c.dcm") == tmp_path.resolve() / "b" / "c.dcm"


@pytest.mark.parametrize("path", ["loop", "loop/a.dcm", "x" * 300, "\ud800.dcm"])
def test_a_path_that_cannot_be_resolved_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match="cannot be resolved"):
        real_path(tmp_path / path)
