"""On a full or read-only disk what is recorded can be read, and what cannot be recorded is refused with the reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from mammo.database import open_database, reading, run, sqlite_file, writing
from mammo.errors import StorageUnavailable

ROW = {
    "id": "retrain-1-0123456789ab", "project": 1, "recipe": "demo", "reason": "r", "trigger": "cli",
    "state": "queued", "attempt": 0, "stalled": 0, "claimed_progress": -1.0, "progress": 0.0, "stage": "",
    "message": "", "created_at": sa.func.current_timestamp(),
}  # fmt: skip


def address(folder: Path) -> str:
    return f"sqlite:///{quote(str(folder))}/a%20b.db"


def number_of_runs(engine: sa.Engine) -> int:
    with reading(engine) as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(run)) or 0)


def add_run(engine: sa.Engine, name: str) -> None:
    with writing(engine) as connection:
        connection.execute(sa.insert(run).values(**ROW | {"id": name}))


@pytest.fixture
def folder(small_disk) -> Path:
    """Of a database with one run, which nobody has open."""
    place: Path = small_disk.folder / "a #%20"  # characters that mean something in the address of a file
    engine = open_database(address(place))
    add_run(engine, "retrain-1-000000000001")
    engine.dispose()
    return place


@pytest.mark.parametrize("create", [True, False], ids=["service", "command"])
def test_what_is_recorded_is_read_on_a_full_disk(small_disk, folder, create):
    small_disk.fill()
    engine = open_database(address(folder), create=create)
    assert number_of_runs(engine) == 1
    with pytest.raises(StorageUnavailable, match=r"disk of .* is full: free space"):
        add_run(engine, "retrain-1-000000000002")
    small_disk.make_room()
    add_run(engine, "retrain-1-000000000002")
    assert number_of_runs(engine) == 2, "it needs no new start"
    engine.dispose()


def test_what_is_recorded_is_read_on_a_read_only_disk(small_disk, folder):
    small_disk.make_read_only()
    engine = open_database(address(folder))
    assert number_of_runs(engine) == 1
    with pytest.raises(StorageUnavailable):
        add_run(engine, "retrain-1-000000000002")


def test_a_database_that_is_open_while_the_disk_becomes_full_is_read_by_others(small_disk, folder):
    service = open_database(address(folder))
    add_run(service, "retrain-1-000000000002")
    small_disk.fill()
    command = open_database(address(folder), create=False)
    assert number_of_runs(command) == number_of_runs(service) == 2
    command.dispose()
    service.dispose()


def test_what_a_killed_process_left_in_the_log_is_read_too(small_disk, folder):
    program = (
        "import sys, time; from tests.mammo.database.test_full_disk import *\n"
        "engine = open_database(sys.argv[1]); add_run(engine, 'retrain-1-000000000002')\n"
        "held = engine.connect(); print('done', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, address(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"done\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (folder / "a b.db-wal").stat().st_size > 0
    small_disk.fill()
    engine = open_database(address(folder), create=False)
    assert number_of_runs(engine) == 2
    engine.dispose()


def test_a_log_that_holds_something_is_never_left_out(small_disk, folder):
    """Without its index the log cannot be read on a full disk: then nothing is read, rather than what was before."""
    (folder / "a b.db-wal").write_bytes(os.urandom(4096))
    small_disk.fill()
    with pytest.raises(StorageUnavailable, match="is full"):
        number_of_runs(open_database(address(folder)))


def test_a_database_cannot_be_made_on_a_full_disk_and_that_is_said(small_disk):
    small_disk.fill()
    with pytest.raises(StorageUnavailable, match="is full"):
        open_database(f"sqlite:///{small_disk.folder}/new/a.db")


def test_the_files_of_a_database_are_its_owners_only(tmp_path):
    before = os.umask(0)
    try:
        engine = open_database(f"sqlite:///{tmp_path}/new/a.db")
        held = engine.connect()
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
        held.close()
        engine.dispose()
    finally:
        os.umask(before)
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////srv/a.db", Path("/srv/a.db")),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("postgresql+psycopg://u:p@host/name", None),
    ],
)
def test_only_a_database_in_a_file_has_one(url, file):
    assert sqlite_file(url) == file
