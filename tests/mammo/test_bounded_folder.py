import os
from pathlib import Path

from mammo.bounded_folder import BoundedFolder


def folder_of(path: Path, max_bytes: int = 10) -> BoundedFolder:
    return BoundedFolder(path, suffix=".txt", max_bytes=max_bytes, what="a text")


def write(folder: BoundedFolder, key: str, text: str) -> None:
    folder.write(key, lambda path: path.write_text(text), failed=())


def read(folder: BoundedFolder, key: str) -> str | None:
    return folder.read(key, Path.read_text, damaged=(ValueError,))


def test_the_least_recently_used_file_goes_first(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for number, key in enumerate("abc"):
        write(folder, key, "four")
        if (path := tmp_path / f"{key}.txt").exists():
            os.utime(path, (number, number))
    assert [read(folder, key) for key in "abc"] == [None, "four", "four"]


def test_a_damaged_file_is_a_miss_and_is_deleted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff")
    assert read(folder, "a") is None
    assert not (tmp_path / "a.txt").exists()


def test_a_folder_that_cannot_be_made_costs_the_cache_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = folder_of(tmp_path / "file" / "folder")
    write(folder, "a", "text")
    assert read(folder, "a") is None
