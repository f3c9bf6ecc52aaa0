"""The data folder is its owner's only, at every start, or there is no start and the message has the remedy."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mammo.errors import MammoError, StorageUnavailable
from mammo.private_files import CODE, make_private, make_private_file
from mammo.settings import Settings
from mammo.site import Site

NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder as an earlier release, a wide umask or `chmod -R` left it."""
    with Site.load(creates=True, data_dir=tmp_path / "data") as site:
        _ = site.registry
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    return tmp_path / "data"


@pytest.mark.parametrize("creates", [True, False], ids=["service", "command"])
def test_an_accessible_folder_is_made_private_by_whoever_starts(folder: Path, creates: bool) -> None:
    with Site.load(creates=creates, data_dir=folder) as site:
        _ = site.registry.champion()
        modes = {path.name: mode(path) for path in folder.iterdir()}
    assert mode(folder) == 0o700
    assert {name: value for name, value in modes.items() if value & 0o077} == {}
    assert modes["yolo-mlsam.db"] == modes["yolo-mlsam.db-wal"] == 0o600
    assert modes["blobs"] == 0o700


@pytest.mark.parametrize("part", ["engine", "blobs", "backgrounds", "registry", "store"])
def test_every_part_that_uses_the_folder_makes_it_private(folder: Path, part: str) -> None:
    with Site.load(data_dir=folder) as site:
        getattr(site, part)
    assert mode(folder) == 0o700


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Site.load(creates=True, data_dir=tmp_path / "a" / "data") as site:
            _ = site.engine
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "data") == 0o700
    assert {mode(path) for path in (tmp_path / "a" / "data").iterdir() if path.is_file()} == {0o600}


def test_a_command_that_reads_makes_no_folder(tmp_path: Path) -> None:
    make_private(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_a_folder_behind_a_link_is_made_private_and_a_link_in_it_is_left_alone(
    folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    outside.chmod(0o644)
    (folder / "link").symlink_to(outside)
    (tmp_path / "linked").symlink_to(folder)
    make_private(tmp_path / "linked", create=True)
    assert mode(folder) == 0o700
    assert mode(outside) == 0o644


def test_a_database_elsewhere_is_made_private_and_its_folder_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    url = f"sqlite:///{elsewhere}/x.db"
    with Site.load(creates=True, data_dir=tmp_path / "data", database_url=url) as site:
        _ = site.engine
    (elsewhere / "x.db").chmod(0o644)
    with Site.load(data_dir=tmp_path / "data", database_url=url) as site:
        _ = site.engine
    assert (mode(elsewhere / "x.db"), mode(elsewhere)) == (0o600, 0o755)


def test_a_folder_that_holds_other_things_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Somebody's home, or `/tmp`: to close it for others would break what is there."""
    (tmp_path / "letter.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(StorageUnavailable, match="chmod 700") as caught:
        make_private(tmp_path, create=True)
    assert caught.value.code == CODE
    assert mode(tmp_path) == 0o755
    tmp_path.chmod(0o700)
    make_private(tmp_path, create=True)


def test_a_folder_whose_name_means_something_in_an_address_holds_its_database(tmp_path: Path) -> None:
    folder = tmp_path / "50%25 #1?"
    with Site.load(creates=True, data_dir=folder) as site:
        _ = site.engine
    assert (folder / "yolo-mlsam.db").is_file()
    with Site.load(data_dir=folder) as site:
        assert site.store.projects() == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    for create in (True, False):
        with pytest.raises(StorageUnavailable):
            make_private(tmp_path / "data", create=create)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """An empty folder of root's that everybody may write to, on a path that everybody may walk."""
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    path = Path(tempfile.mkdtemp(prefix="mlsam-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def as_nobody(ask: Callable[[], object]) -> str:
    """What a call raises in a process of another user; empty if it succeeds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            ask()
        except MammoError as error:
            os.write(writer, f"{error.code} {error}".encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        return said.read()


@pytest.mark.parametrize("permissions", [0o777, 0o770, 0o755])
def test_a_folder_of_another_user_is_refused_with_the_command_that_mends_it(
    public_folder: Path, permissions: int
) -> None:
    public_folder.chmod(permissions)
    said = as_nobody(lambda: make_private(public_folder, create=True))
    assert said.startswith(f"{CODE} {public_folder} belongs to another user: run `sudo chown -R {NOBODY} ")
    assert mode(public_folder) == permissions


def test_a_file_of_another_user_in_our_folder_is_refused_too(public_folder: Path) -> None:
    """What a command run with sudo leaves there."""
    (public_folder / "yolo-mlsam.db-wal").touch()
    (public_folder / "yolo-mlsam.db-wal").chmod(0o644)
    (public_folder / "blobs").mkdir(mode=0o700)
    os.chown(public_folder, NOBODY, NOBODY)
    said = as_nobody(lambda: make_private(public_folder, create=True))
    assert said.startswith(CODE)
    assert "sudo chown" in said
    (public_folder / "yolo-mlsam.db-wal").chmod(0o600)
    assert as_nobody(lambda: make_private(public_folder, create=True)) == ""


def test_a_read_only_disk_is_refused_if_others_may_read_it(small_disk) -> None:
    folder = small_disk.folder / "data"
    with Site.load(creates=True, data_dir=folder) as site:
        _ = site.engine
    folder.chmod(0o755)
    small_disk.make_read_only()
    with pytest.raises(StorageUnavailable, match="Read-only file system") as caught:
        make_private(folder, create=False)
    assert caught.value.code == CODE


def test_a_private_folder_on_a_read_only_disk_can_be_read(small_disk) -> None:
    folder = small_disk.folder / "data"
    with Site.load(creates=True, data_dir=folder) as site:
        version = site.registry.champion().version
    small_disk.make_read_only()
    with Site.load(data_dir=folder) as site:
        assert site.registry.champion().version == version


def test_a_file_that_does_not_exist_needs_nothing(tmp_path: Path) -> None:
    make_private_file(tmp_path / "none")


def test_worker_and_backend_do_not_start_on_a_folder_that_cannot_be_made_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from backend import __main__ as backend
    from worker import __main__ as worker

    (tmp_path / "letter.txt").touch()
    tmp_path.chmod(0o755)
    for name in ("data_dir", "auth_password", "webhook_secret"):
        monkeypatch.setenv(f"YOLO_MLSAM_{name.upper()}", str(tmp_path))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(backend, "configure", lambda level: None)
    monkeypatch.setattr(worker, "_configure_logs", lambda settings: None)
    assert Settings.load().data_dir == tmp_path
    assert (backend.main(), worker.main([])) == (2, 2)
    assert capsys.readouterr().err.count("chmod 700") == 2
