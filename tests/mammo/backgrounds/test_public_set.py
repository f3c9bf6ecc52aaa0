from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mammo import pinned_files
from mammo.backgrounds import Backgrounds, BackgroundSet
from mammo.backgrounds.public_set import add_public_set
from mammo.errors import FileUnavailable, WrongFile
from tests.file_server import Behaviour, FileServer
from tests.mammo.backgrounds.images import CONTENTS, public_set


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(pinned_files, "_PAUSE", 0.0)
    with FileServer(tmp_path) as running:
        for name, content in CONTENTS.items():
            running.paths[f"/{name}"] = Behaviour(content)
        yield running


@pytest.fixture
def library(tmp_path: Path) -> Backgrounds:
    return Backgrounds(tmp_path / "backgrounds")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return folder


def download(
    server: FileServer, library: Backgrounds, told: list[tuple[int, int]] | None = None
) -> BackgroundSet:
    told = [] if told is None else told
    with server.client() as client:
        return add_public_set(
            public_set(server.base),
            library=library,
            given=None,
            progress=lambda *heard: told.append(heard),
            client=client,
        )


def test_a_set_is_downloaded_over_cut_connections_and_the_second_time_nothing_is_asked(
    server: FileServer, library: Backgrounds
) -> None:
    server.paths["/B.png"].cuts.append(5000)
    told: list[tuple[int, int]] = []
    backgrounds = download(server, library, told)
    total = sum(len(content) for content in CONTENTS.values())
    assert told[-1] == (total, total)
    assert [received for received, _ in told] == sorted(received for received, _ in told)
    assert [wanted for _, wanted in server.requests] == [None, None, "bytes=5000-"]
    assert library.sets() == [backgrounds]
    assert backgrounds.may_ship
    assert {each.path.name: each.path.read_bytes() for each in backgrounds.backgrounds} == CONTENTS
    assert [each.read().spacing for each in backgrounds.backgrounds] == [
        each.spacing for each in backgrounds.backgrounds
    ]
    assert download(server, library) == backgrounds
    assert len(server.requests) == 3


def test_a_file_with_a_wrong_hash_is_refused_and_there_is_no_set(
    server: FileServer, library: Backgrounds
) -> None:
    right = server.paths["/B.png"].content
    server.paths["/B.png"].content = right[:-1] + b"!"
    with pytest.raises(WrongFile, match=r"B\.png.*: expected SHA-256") as refused:
        download(server, library)
    assert refused.value.code == "wrong_hash"
    assert library.sets() == []
    server.paths["/B.png"].content = right
    download(server, library)
    assert [path for path, _ in server.requests] == ["/A.png", "/B.png", "/B.png"]


def test_a_file_that_was_damaged_since_is_fetched_again(server: FileServer, library: Backgrounds) -> None:
    backgrounds = download(server, library)
    backgrounds.backgrounds[0].path.write_bytes(b"torn")
    download(server, library)
    assert backgrounds.backgrounds[0].path.read_bytes() == CONTENTS["A.png"]
    assert [path for path, _ in server.requests] == ["/A.png", "/B.png", "/A.png"]


def test_a_file_that_moved_says_how_to_give_it_by_hand(server: FileServer, library: Backgrounds) -> None:
    del server.paths["/A.png"]
    with pytest.raises(FileUnavailable, match=r"answered 404 .* give the folder of the files with --from"):
        download(server, library)


def test_without_a_network_the_files_come_from_a_folder(given: Path, library: Backgrounds) -> None:
    (given / "other.txt").write_text("not of the set")
    backgrounds = add_public_set(public_set(), library=library, given=given)
    assert {each.path.name: each.path.read_bytes() for each in backgrounds.backgrounds} == CONTENTS
    assert library.get("tiny") == backgrounds
    (given / "A.png").unlink()
    with pytest.raises(
        FileUnavailable, match=r"lacks 1 of the 2 files of tiny: A\.png; .*https://"
    ) as lacking:
        add_public_set(public_set(), library=library, given=given)
    assert lacking.value.code == "offline"


def test_nothing_is_taken_from_a_folder_with_a_wrong_file(given: Path, library: Backgrounds) -> None:
    (given / "B.png").write_bytes(CONTENTS["B.png"][:-1] + b"!")
    with pytest.raises(WrongFile, match=r"B\.png: expected SHA-256"):
        add_public_set(public_set(), library=library, given=given)
    assert not library.folder.exists()
