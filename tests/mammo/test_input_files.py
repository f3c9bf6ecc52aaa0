"""Only a regular file is opened, at once or not at all, and the reason is a sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mammo.input_files import open_input, read_input
from tests.unopenable import make_unopenable, without_privilege

REASONS = {
    "closed": "Permission denied",
    "device": "it is a device",
    "folder": "it is a folder",
    "gone": "it is a link to a file that does not exist",
    "loop": "Too many levels of symbolic links",
    "pipe": "it is a pipe",
    "socket": "it is a socket",
}


def reason(path: Path) -> str:
    with pytest.raises(OSError) as failure:  # noqa: PT011 - the reason is compared
        open_input(path)
    return str(failure.value.strerror)


def test_what_is_not_a_regular_file_is_refused_with_its_kind(tmp_path: Path) -> None:
    paths = make_unopenable(tmp_path, name="{}.dcm")
    with without_privilege():
        assert {path.stem: reason(path) for path in paths} == REASONS


def test_a_folder_that_may_not_be_read_is_refused_for_that(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir(mode=0)
    with without_privilege():
        assert reason(tmp_path / "scans") == "Permission denied"


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_refused(name: str, tmp_path: Path) -> None:
    assert reason(tmp_path / name) == "its name is not a valid file name"


def test_a_file_that_becomes_a_pipe_while_it_is_opened_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scan.dcm"
    path.write_bytes(b"a file")
    was = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr("mammo.input_files.os.stat", lambda _: was)
    assert reason(path) == "it is a pipe"


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    path.write_bytes(b"12345")
    assert read_input(path, max_bytes=5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes") as failure:
        read_input(path, max_bytes=4)
    assert failure.value.errno == errno.EFBIG
