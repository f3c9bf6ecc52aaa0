"""How the database is opened, brought up to date, read and written."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mammo.errors import StorageUnavailable

SCHEMA = "0011"
"""The newest migration in `mammo/database/migrations/versions`."""

MIGRATION_LOCK = 0x596F6C6F
"""Number of the advisory lock that a process holds on PostgreSQL while it migrates."""

UNAVAILABLE = (InterfaceError, PoolTimeout, sa.exc.OperationalError, sa.exc.InternalError)
"""What SQLAlchemy raises when the database, not the statement, is at fault: locked, full, read-only, gone."""


def open_database(url: str, *, create: bool = True, busy_seconds: float = 30.0) -> Engine:
    """Connect, and bring the schema up to date. Safe to call from several processes at once.

    Args:
        url: an SQLAlchemy URL; for a SQLite file, its folder is created, open to its owner only.
        create: make the database and migrate it where that is missing; False: refuse one that is not there, or of an
            older release, so that a command that only reads changes nothing.
        busy_seconds: how long SQLite waits for another process before it gives up.

    Raises:
        StorageUnavailable: the database cannot be opened or written (code `newer_database` where a newer release
            of this software has migrated it already; `no_database` and `older_database` where nothing is created).
    """
    address = sa.make_url(url)
    if address.get_backend_name() != "sqlite":
        engine = sa.create_engine(address, pool_pre_ping=True)
    else:
        if address.database and address.database != ":memory:":
            folder = Path(address.database).parent
            if not create and not Path(address.database).is_file():
                raise _no_database(address)
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StorageUnavailable(f"the data folder cannot be made: {error.strerror}") from error
        engine = sa.create_engine(address, connect_args={"timeout": busy_seconds})
        _use_write_ahead_log(engine, busy_seconds)
    if create:
        _migrate(engine)
    else:
        _require_schema(engine)
    return engine


def _no_database(address: sa.URL) -> StorageUnavailable:
    return StorageUnavailable(
        f"there is no database at {address.render_as_string(hide_password=True)}: start `yolo-mlsam serve` or "
        "`yolo-mlsam work`, which make it, or set YOLO_MLSAM_DATA_DIR to the service's data folder",
        code="no_database",
    )


def _require_schema(engine: Engine) -> None:
    """Raises StorageUnavailable: the database is empty, or of another release."""
    with reading(engine) as connection:
        schema = _schema_of(connection)
    if schema is None:
        raise _no_database(engine.url)
    _refuse_newer(schema)
    if schema != SCHEMA:
        raise StorageUnavailable(
            f"the database has schema {schema} and this release needs {SCHEMA}: restart `yolo-mlsam serve` or "
            "`yolo-mlsam work` of this release, which migrate it",
            code="older_database",
        )


def _refuse_newer(schema: str) -> None:
    if schema > SCHEMA:
        raise StorageUnavailable(
            f"the database has schema {schema} and this release knows schemas up to {SCHEMA}: a newer release has "
            "migrated it; start that release, or restore the backup made before the upgrade",
            code="newer_database",
        )


def _migrate(engine: Engine) -> None:
    """Apply the migrations that are missing, all or none; the first of several processes does it for all."""
    with reading(engine) as connection:
        found = _schema_of(connection)
    if found == SCHEMA:
        return
    from alembic import command
    from alembic.config import Config

    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        found = _schema_of(connection)
        if found is not None:
            _refuse_newer(found)
        config = Config()
        config.set_main_option("script_location", "mammo:database/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _schema_of(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; committed at the end, rolled back on an exception.

    Raises:
        StorageUnavailable: the database is locked, full, read-only or gone. Nothing of it was written.
    """
    with _reporting(), engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: one consistent state, and no writer waits for it.

    Raises:
        StorageUnavailable: the database is gone.
    """
    with _reporting(), engine.connect() as connection, connection.begin():
        yield connection


def write_nothing_new(connection: Connection) -> None:
    """A write that needs the disk and changes nothing: it fails when the database takes no more."""
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def insert(connection: Connection, table: sa.Table) -> Any:
    """The dialect's own insert statement, which knows ON CONFLICT."""
    return dialect_insert(connection.dialect.name, table)


def dialect_insert(dialect: str, table: sa.Table) -> Any:
    """The insert statement of a dialect by name, for statements that are built once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if not isinstance(error, UNAVAILABLE) and "not a database" not in str(error.orig):
            raise  # a wrong statement is ours to mend
        raise StorageUnavailable(f"the database cannot be used now: {error.orig}") from error
    except UNAVAILABLE as error:
        raise StorageUnavailable(f"the database cannot be reached: {type(error).__name__}") from error


def _use_write_ahead_log(engine: Engine, busy_seconds: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = (
            None  # the driver's implicit BEGIN is deferred: two writers would deadlock
        )
        cursor = connection.cursor()
        _switch_to_write_ahead_log(cursor, busy_seconds)
        cursor.execute("PRAGMA synchronous = FULL")  # a commit returns only after fsync
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _switch_to_write_ahead_log(cursor: sqlite3.Cursor, busy_seconds: float) -> None:
    """Turn the log on, waiting for another process that turns it on in the same new file.

    SQLite's own wait does not help: the switch reads first and then writes, and of two that have read each would wait
    for the other, so SQLite refuses the second at once. The first gets through, and the second finds it done.

    Raises:
        sqlite3.OperationalError: the file cannot be used, or was held by another process for `busy_seconds`.
    """
    give_up = time.monotonic() + busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            kind = error.sqlite_errorcode & 0xFF  # the bits above tell kinds of busy apart
            if kind != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
        time.sleep(0.01)  # s, about one flush to the disk: what the other's switch takes
