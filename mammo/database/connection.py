"""Open the database, migrate it, and run transactions."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mammo.database.full_disk import connect_to_read, full_disk, sqlite_file
from mammo.errors import StorageUnavailable

SCHEMA = "0029"
"""The newest migration in `mammo/database/migrations/versions`."""

MIGRATION_LOCK = 0x596F6C6F
"""Advisory lock that a process holds on PostgreSQL while it migrates."""

UNAVAILABLE = (InterfaceError, PoolTimeout, sa.exc.OperationalError, sa.exc.InternalError)
"""SQLAlchemy's errors when the database, not the statement, is at fault: locked, full, read-only, unreachable."""


def open_database(url: str, *, create: bool = True, busy_seconds: float = 30.0) -> Engine:
    """Connect to the database and migrate its schema. Several processes may call this at once.

    Args:
        url: SQLAlchemy URL. The folder of a SQLite file is created if it is missing, with access for its owner only.
        create: Create and migrate the database as needed. If False, refuse a missing or older one, so that a command
            that only reads changes nothing.
        busy_seconds: How long SQLite waits for another process that holds its lock.

    Raises:
        StorageUnavailable: The database cannot be opened or written; code `newer_database` if a newer release has
            migrated it, `no_database` or `older_database` if `create` is False.
    """
    address = sa.make_url(url)
    if address.get_backend_name() != "sqlite":
        engine = sa.create_engine(address, pool_pre_ping=True)
    else:
        if (file := sqlite_file(address)) is not None:
            if not create and not file.is_file():
                raise _no_database(address)
            try:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileExistsError):  # made before SQLite makes it, whose files anybody may read
                    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except OSError as error:
                reason = f"the database or its folder cannot be created: {error.strerror}"
                raise StorageUnavailable(reason) from error
        engine = sa.create_engine(address, connect_args={"timeout": busy_seconds})
        _use_write_ahead_log(engine, busy_seconds)
    if create:
        _migrate(engine)
    else:
        _require_schema(engine)
    return engine


def _no_database(address: sa.URL) -> StorageUnavailable:
    return StorageUnavailable(
        f"there is no database at {address.render_as_string(hide_password=True)}: start `yolo-mlsam serve`, "
        "which creates it, or name the installation with --site FILE (or YOLO_MLSAM_DATA_DIR)",
        code="no_database",
    )


def _require_schema(engine: Engine) -> None:
    """Raise StorageUnavailable if the database is empty or has the schema of another release."""
    with reading(engine) as connection:
        schema = _schema_of(connection)
    if schema is None:
        raise _no_database(engine.url)
    _refuse_newer(schema)
    if schema != SCHEMA:
        raise StorageUnavailable(
            f"the database has schema {schema}, but this release needs {SCHEMA}: start `yolo-mlsam serve` of "
            "this release, which migrates it",
            code="older_database",
        )


def _refuse_newer(schema: str) -> None:
    if schema > SCHEMA:
        raise StorageUnavailable(
            f"the database has schema {schema}, but this release supports schemas up to {SCHEMA}: a newer release has "
            "migrated it; start that release, or restore the backup made before the upgrade",
            code="newer_database",
        )


def _migrate(engine: Engine) -> None:
    """Apply all missing migrations in one transaction; of several processes, only the first applies them."""
    with reading(engine) as connection:
        schema = _schema_of(connection)
    if schema == SCHEMA:
        return
    from alembic import command
    from alembic.config import Config

    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":  # SQLite allows one writer only
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        schema = _schema_of(connection)
        if schema is not None:
            _refuse_newer(schema)
        config = Config()
        config.set_main_option("script_location", "mammo:database/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _schema_of(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    schema: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return schema


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Run a transaction that may write: committed at the end, rolled back on an exception.

    Raises:
        StorageUnavailable: The database is locked, full, read-only or unreachable; nothing was written.
    """
    with (
        _database_errors(engine),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Run a transaction that only reads: it sees one consistent state and blocks no writer.

    It also reads on a full or read-only disk, where SQLite cannot open its log.

    Raises:
        StorageUnavailable: The database is unreachable.
    """
    with _database_errors(engine), connect_to_read(engine) as connection, connection.begin():
        yield connection


def probe_write(connection: Connection) -> None:
    """Write to the disk without changing data; fails if the database cannot be written."""
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def insert(connection: Connection, table: sa.Table) -> Any:
    """Return the dialect's insert statement, which supports ON CONFLICT."""
    return dialect_insert(connection.dialect.name, table)


def dialect_insert(dialect: str, table: sa.Table) -> Any:
    """Return the insert statement of a dialect by name, for statements that are built once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@contextmanager
def _database_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if not isinstance(error, UNAVAILABLE) and "not a database" not in str(error.orig):
            raise  # a wrong statement is a bug
        raise StorageUnavailable(
            full_disk(engine) or f"the database cannot be used now: {error.orig}"
        ) from error
    except UNAVAILABLE as error:
        raise StorageUnavailable(f"the database cannot be reached: {type(error).__name__}") from error


def _use_write_ahead_log(engine: Engine, busy_seconds: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver's implicit BEGIN is deferred, so two writers could deadlock.
        connection.isolation_level = None
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
    """Enable the write-ahead log, waiting for another process that enables it in the same new file.

    SQLite's own busy timeout does not apply: the switch reads before it writes, so two processes that have read would
    wait for each other, and SQLite refuses the second at once. The first succeeds, and the second finds it enabled.

    Raises:
        sqlite3.OperationalError: The file cannot be used, or another process held it for `busy_seconds`.
    """
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF  # the higher bits are the extended code
            if code != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(0.01)  # about one flush to the disk, the duration of the other process's switch
