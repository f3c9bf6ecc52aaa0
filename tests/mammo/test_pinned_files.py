from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mammo import pinned_files
from mammo.errors import FileUnavailable, StorageUnavailable, WrongFile
from mammo.pinned_files import PinnedFile, fetch, verify
from tests.file_server import Behaviour, FileServer

CONTENT = bytes(range(256)) * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned_files, "_PAUSE", 0.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with FileServer(tmp_path) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


def entry(server: FileServer | None = None, **changes: Any) -> PinnedFile:
    base = server.base if server else "https://127.0.0.1:1"
    values: dict[str, Any] = {
        "name": "tiny",
        "url": f"{base}/tiny.pt",
        "size": len(CONTENT),
        "sha256": SHA,
        "by_hand": "give the file with --file",
    }
    return PinnedFile(**{**values, **changes})


def get(
    server: FileServer, folder: Path, pinned: PinnedFile, told: list[tuple[int, int | None]] | None = None
) -> Path:
    with server.client() as client:
        return fetch(
            pinned,
            folder,
            progress=lambda *heard: told.append(heard) if told is not None else None,
            allow_network=True,
            client=client,
        )


def test_a_file_comes_whole_and_the_second_time_nothing_is_asked(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT)
    told: list[tuple[int, int | None]] = []
    path = get(server, folder, entry(server), told)
    assert path == folder / "tiny.pt"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in folder.iterdir()] == ["tiny.pt"]
    assert folder.stat().st_mode & 0o777 == 0o700
    get(server, folder, entry(server))
    assert len(server.requests) == 1


def test_a_cut_connection_is_taken_up_where_it_was_cut(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT, cuts=[70_000, 200_000])
    assert get(server, folder, entry(server)).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=70000-", "bytes=200000-"]


def test_a_later_run_goes_on_from_what_an_earlier_one_left(server: FileServer, folder: Path) -> None:
    folder.mkdir()
    (folder / "tiny.pt.partial").write_bytes(CONTENT[:5000])
    server.paths["/tiny.pt"] = Behaviour(CONTENT)
    assert get(server, folder, entry(server)).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == ["bytes=5000-"]


def test_a_server_without_ranges_is_read_from_the_start_again(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT, ranges=False, cuts=[9000])
    assert get(server, folder, entry(server)).read_bytes() == CONTENT


def test_a_size_nobody_knows_is_no_obstacle(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT, says_length=False)
    assert get(server, folder, entry(server, size=None)).read_bytes() == CONTENT


def test_a_leftover_larger_than_the_file_is_thrown_away(server: FileServer, folder: Path) -> None:
    folder.mkdir()
    (folder / "tiny.pt.partial").write_bytes(b"x" * (len(CONTENT) + 7))
    server.paths["/tiny.pt"] = Behaviour(CONTENT)
    assert get(server, folder, entry(server)).read_bytes() == CONTENT
    (folder / "other.pt.partial").write_bytes(b"x" * (len(CONTENT) + 7))
    server.paths["/other.pt"] = Behaviour(CONTENT)
    unsized = entry(server, url=f"{server.base}/other.pt", size=None)
    assert get(server, folder, unsized).read_bytes() == CONTENT
    assert server.requests[-2:] == [("/other.pt", f"bytes={len(CONTENT) + 7}-"), ("/other.pt", None)]


def test_a_wrong_hash_is_refused_and_nothing_of_it_stays(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT[:-1] + b"!")
    with pytest.raises(WrongFile, match=f"expected SHA-256 {SHA}, found .* delete it") as refused:
        get(server, folder, entry(server))
    assert refused.value.code == "wrong_hash"
    assert list(folder.iterdir()) == []


def test_a_leftover_of_another_file_costs_one_more_download(server: FileServer, folder: Path) -> None:
    folder.mkdir()
    (folder / "tiny.pt.partial").write_bytes(b"?" * 3000)
    server.paths["/tiny.pt"] = Behaviour(CONTENT)
    assert get(server, folder, entry(server)).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == ["bytes=3000-", None]


def test_a_folder_that_cannot_be_written_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match=r"file/files cannot be written \(NotADirectoryError\)"):
        get(server, tmp_path / "file" / "files", entry(server))


def test_a_file_damaged_after_it_came_is_not_used(server: FileServer, folder: Path) -> None:
    folder.mkdir()
    (folder / "tiny.pt").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(WrongFile, match="is not what it claims to be"):
        get(server, folder, entry(server))
    assert server.requests == []


@pytest.mark.parametrize("says_length", [True, False])
def test_a_body_larger_than_the_file_is_cut_off(server: FileServer, folder: Path, says_length: bool) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT * 2, says_length=says_length)
    with pytest.raises(FileUnavailable, match="refused"):
        get(server, folder, entry(server))
    assert sum(file.stat().st_size for file in folder.iterdir()) == 0


def test_a_body_of_unknown_size_ends_at_the_general_limit(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned_files, "MAX_BYTES", 10_000)
    server.paths["/tiny.pt"] = Behaviour(CONTENT, says_length=False)
    with pytest.raises(FileUnavailable, match="more than the 10000 bytes"):
        get(server, folder, entry(server, size=None))


def test_a_redirect_on_the_same_server_is_followed(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(location="/there.pt")
    server.paths["/there.pt"] = Behaviour(CONTENT)
    assert get(server, folder, entry(server)).name == "tiny.pt"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://127.0.0.1/tiny.pt", "refused to follow http://127.0.0.1"),
        ("https://example.org/tiny.pt", "refused to follow https://example.org"),
        ("file:///etc/passwd", "refused to follow file://"),
        ("/tiny.pt", "redirects more than 5 times"),
    ],
)
def test_a_redirect_to_elsewhere_or_in_a_circle_is_refused(
    server: FileServer, folder: Path, target: str, message: str
) -> None:
    server.paths["/tiny.pt"] = Behaviour(location=target)
    with pytest.raises(FileUnavailable, match=message) as refused:
        get(server, folder, entry(server))
    assert refused.value.code == "download_refused"


def test_a_plain_http_address_is_never_asked(server: FileServer, folder: Path) -> None:
    pinned = entry(server, url=server.base.replace("https", "http") + "/tiny.pt")
    with pytest.raises(FileUnavailable, match="allowed: https"):
        get(server, folder, pinned)
    assert server.requests == []


def test_a_file_that_moved_is_said_to_have_moved(server: FileServer, folder: Path) -> None:
    with pytest.raises(FileUnavailable, match=r"answered 404 .* give the file with --file"):
        get(server, folder, entry(server))


def test_a_server_that_never_answers_is_given_up_and_the_beginning_is_kept(
    server: FileServer, folder: Path
) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT, cuts=[4000] + [0] * 9)
    with pytest.raises(FileUnavailable, match="goes on from it") as failed:
        get(server, folder, entry(server))
    assert failed.value.code == "download_failed"
    assert (folder / "tiny.pt.partial").read_bytes() == CONTENT[:4000]
    with pytest.raises(FileUnavailable, match="ConnectError"), server.client() as client:
        fetch(entry(), folder, progress=lambda *_: None, allow_network=True, client=client)


def test_a_server_in_trouble_is_asked_again_and_then_given_up(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(status=503)
    with pytest.raises(FileUnavailable, match="answered 503"):
        get(server, folder, entry(server))
    assert len(server.requests) == pinned_files.MAX_ATTEMPTS


def test_without_leave_to_download_the_remedy_is_named(folder: Path) -> None:
    with pytest.raises(FileUnavailable, match=r"another machine .* --file") as refused:
        fetch(entry(), folder, progress=lambda *_: None, allow_network=False)
    assert refused.value.code == "offline"
    assert not folder.exists()


def test_without_a_hash_to_trust_nothing_is_fetched(folder: Path) -> None:
    with pytest.raises(WrongFile, match="--sha256") as refused:
        fetch(entry(sha256=None), folder, progress=lambda *_: None, allow_network=True)
    assert refused.value.code == "unknown_hash"


def test_two_downloads_of_one_file_do_not_mix(server: FileServer, folder: Path) -> None:
    server.paths["/tiny.pt"] = Behaviour(CONTENT)
    folder.mkdir()
    with (folder / "tiny.pt.partial").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FileUnavailable, match="another process"):
            get(server, folder, entry(server))
    assert get(server, folder, entry(server)).read_bytes() == CONTENT


def test_verify_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with pytest.raises(WrongFile, match=r"a\.pt cannot be read") as missing:
        verify(path, sha256=SHA)
    assert missing.value.code == "missing_file"
    path.write_bytes(CONTENT)
    assert verify(path, sha256=SHA, size=len(CONTENT)) == SHA
    with pytest.raises(WrongFile, match="expected 5 bytes, found 256000"):
        verify(path, sha256=SHA, size=5)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        verify(path, sha256=SHA.upper())
