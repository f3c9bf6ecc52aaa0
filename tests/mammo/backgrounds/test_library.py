from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mammo.backgrounds import Backgrounds, BackgroundSet
from mammo.backgrounds.index_file import read_index
from mammo.errors import InvalidBackgrounds, StorageUnavailable
from mammo.geometry import Box
from tests.mammo.backgrounds.images import CONTENTS, public_set


def added(library: Backgrounds, name: str = "tiny") -> BackgroundSet:
    """A set whose first image has a box to avoid."""
    with library.exclusive(name) as folder:
        for file_name, content in CONTENTS.items():
            (folder / file_name).write_bytes(content)
        backgrounds = replace(public_set(), name=name).within(folder)
        first = replace(backgrounds.backgrounds[0], avoid=(Box(1, 2, 30, 40),))
        backgrounds = replace(backgrounds, backgrounds=(first, *backgrounds.backgrounds[1:]))
        library.write(backgrounds)
    return backgrounds


def test_a_set_is_found_as_it_was_written_with_the_boxes_to_avoid(tmp_path: Path) -> None:
    library = Backgrounds(tmp_path / "data" / "backgrounds")
    backgrounds = added(library)
    assert library.get("tiny") == library.find("tiny") == backgrounds
    assert library.get("tiny").backgrounds[0].avoid == (Box(1, 2, 30, 40),)
    added(library, "another")
    assert [each.name for each in library.sets()] == ["another", "tiny"]
    assert [each.read().patient for each in backgrounds.backgrounds] == ["tiny-A.png", "tiny-B.png"]
    for folder in (
        tmp_path / "data",
        tmp_path / "data" / "backgrounds",
        backgrounds.backgrounds[0].path.parent,
    ):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    library = Backgrounds(tmp_path / "data")
    assert library.sets() == []
    assert library.find("tiny") is None
    with pytest.raises(InvalidBackgrounds, match="no background set tiny; there are: none") as unknown:
        library.get("tiny")
    assert unknown.value.code == "unknown_backgrounds"
    with pytest.raises(InvalidBackgrounds, match="no background set tiny"):
        library.remove("tiny")
    assert not (tmp_path / "data").exists()


def test_a_removed_set_is_gone_with_its_files_and_the_others_stay(tmp_path: Path) -> None:
    library = Backgrounds(tmp_path)
    added(library)
    added(library, "another")
    library.remove("tiny")
    assert [each.name for each in library.sets()] == ["another"]
    assert not (tmp_path / "tiny").exists()


def test_files_that_the_index_does_not_name_are_deleted_when_it_is_written(tmp_path: Path) -> None:
    library = Backgrounds(tmp_path)
    backgrounds = added(library)
    with library.exclusive("tiny"):
        library.write(replace(backgrounds, backgrounds=backgrounds.backgrounds[:1]))
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == ["A.png", "index.json"]
    assert library.get("tiny").num_missing == 0
    (tmp_path / "tiny" / "A.png").unlink()
    assert library.get("tiny").num_missing == 1


def test_two_processes_do_not_change_one_set_at_a_time(tmp_path: Path) -> None:
    library = Backgrounds(tmp_path)
    added(library)
    with (
        library.exclusive("tiny"),
        pytest.raises(InvalidBackgrounds, match="another process") as busy,
    ):
        Backgrounds(tmp_path).remove("tiny")
    assert busy.value.code == "backgrounds_busy"
    library.remove("tiny")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"name": "other"},
        {"images": [{}]},
        {"file": "../other/A.png"},
        {"file": "index.json"},
        {"sha256": "abc"},
        {"spacing_mm": [0.0, 0.1]},
        {"spacing_mm": [0.1]},
        {"patient": ""},
        {"avoid": [[1, 2, 1, 4]]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_damaged_index_is_refused_and_can_be_removed(tmp_path: Path, change: dict[str, Any]) -> None:
    library = Backgrounds(tmp_path)
    added(library)
    index = tmp_path / "tiny" / "index.json"
    document = json.loads(index.read_text())
    (document if change.keys() & document.keys() else document["images"][0]).update(change)
    index.write_text(json.dumps(document))
    with pytest.raises(InvalidBackgrounds, match="run `yolo-mlsam backgrounds remove tiny`") as damaged:
        library.sets()
    assert damaged.value.code == "damaged_index"
    library.remove("tiny")
    assert library.sets() == []


def test_an_index_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(InvalidBackgrounds):
        read_index(tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "Ours", "a" * 41, "ours\n"])
def test_a_name_that_is_no_plain_folder_is_refused(tmp_path: Path, name: str) -> None:
    library = Backgrounds(tmp_path)
    for act in (library.get, library.find, library.remove):
        with pytest.raises(InvalidBackgrounds, match="expected as name") as refused:
            act(name)
        assert refused.value.code == "backgrounds_name"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="is the disk full, or read-only"):
        added(Backgrounds(tmp_path / "file" / "backgrounds"))
