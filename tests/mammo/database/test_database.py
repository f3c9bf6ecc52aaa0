import multiprocessing
import sqlite3
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from mammo.database import alias, event, insert, metadata, open_database, promotion, reading, writing
from mammo.errors import StorageUnavailable
from tests.hostile_text import ODD_TEXTS

NOW = datetime(2026, 11, 23, 5, 17, 31, 938304, tzinfo=UTC)


def row(key, at=NOW):
    return {"key": key, "action": "A", "project": 1, "received_at": at, "body": b"{}"}


def test_every_commit_is_flushed_and_writers_do_not_stop_readers(engine):
    with reading(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    with writing(engine) as writer:
        writer.execute(insert(writer, event).values(row("a")))
        with reading(engine) as reader:
            assert reader.scalar(sa.select(sa.func.count()).select_from(event)) == 0


def test_the_data_folder_is_private(engine, tmp_path):
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_moment_comes_back_in_utc_and_sorts_by_time(engine):
    moments = [
        NOW,
        NOW.replace(microsecond=0),
        (NOW - timedelta(days=1)).astimezone(timezone(timedelta(hours=5))),
    ]
    with writing(engine) as connection:
        for index, moment in enumerate(moments):
            connection.execute(insert(connection, event).values(row(str(index), moment)))
    with reading(engine) as connection:
        stored = list(connection.scalars(sa.select(event.c.received_at).order_by(event.c.received_at)))
    assert stored == sorted(moments)
    assert all(moment.tzinfo is not None for moment in stored)


def test_a_moment_without_a_time_zone_is_a_mistake(engine):
    naive = row("a", NOW.replace(tzinfo=None))
    with pytest.raises(sa.exc.StatementError, match="time zone"), writing(engine) as connection:
        connection.execute(insert(connection, event).values(naive))


def test_foreign_keys_hold(engine):
    orphan = {"name": "champion", "version": "nothing", "epoch": 1}
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        connection.execute(insert(connection, alias).values(orphan))


def test_an_exception_leaves_nothing_behind(engine):
    def fail():
        with writing(engine) as connection:
            connection.execute(insert(connection, event).values(row("a")))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with reading(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(event)) == 0


def test_a_locked_database_is_storage_unavailable(engine, tmp_path):
    hasty = open_database(str(engine.url), busy_seconds=0.05)
    with writing(engine), pytest.raises(StorageUnavailable, match="locked"), writing(hasty):
        pass
    hasty.dispose()


def test_a_full_disk_is_storage_unavailable(engine):
    def fill():
        with writing(engine) as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 60")  # SQLite's way to make a small disk
            connection.execute(insert(connection, event).values(row("a") | {"body": bytes(2**20)}))

    with pytest.raises(StorageUnavailable, match="full"):
        fill()


def test_a_file_that_is_no_database_is_storage_unavailable(tmp_path):
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageUnavailable):
        open_database(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_data_folder_that_cannot_be_created_is_storage_unavailable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="folder"):
        open_database(f"sqlite:///{tmp_path / 'file' / 'x.db'}")


def test_a_new_file_that_another_process_writes_is_waited_for(tmp_path):
    file = tmp_path / "new.db"
    other = sqlite3.connect(file, check_same_thread=False)
    other.execute("CREATE TABLE of_another (id)")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="locked"):
        open_database(f"sqlite:///{file}", busy_seconds=0.05)
    release = threading.Timer(0.3, other.close)
    release.start()
    open_database(f"sqlite:///{file}").dispose()
    release.join()


def _open(url):
    open_database(url).dispose()


def test_processes_may_open_a_new_database_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'new.db'}"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    engine = open_database(url)
    assert set(metadata.tables) <= set(sa.inspect(engine).get_table_names())
    assert promotion.name in metadata.tables
    engine.dispose()


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_text_that_one_database_refuses_comes_back_equal_from_both(any_engine, text):
    with writing(any_engine) as connection:
        for key in ("a", "b"):
            connection.execute(insert(connection, event).values(row(key) | {"action": text + key}))
    with reading(any_engine) as connection:
        assert list(connection.scalars(sa.select(event.c.action).order_by(event.c.key))) == [
            text + "a",
            text + "b",
        ]
        found = sa.select(event.c.key).where(event.c.action == text + "b")
        assert connection.execute(found).scalar_one() == "b"
