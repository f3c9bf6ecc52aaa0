"""SQLite on a full or read-only disk: what is recorded can be read, although SQLite cannot open its log.

In WAL mode a connection needs two files beside the database, `-wal` and `-shm`, and removes them at the end. On a full
disk they cannot be made, and SQLite then refuses to read too. Where there is no log, or an empty one, the database file
is complete by itself, and is read as a file that does not change.
"""

from __future__ import annotations

import shutil
import sqlite3
from functools import cache
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError

NO_LOG = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)
"""Primary error codes with which SQLite says that it cannot make its log."""

ROOM = 256 * 2**10
"""Free bytes that SQLite needs to open its log and to write a little; with less, the disk counts as full."""

log = structlog.get_logger()


def connect_to_read(engine: Engine) -> Connection:
    """Return a connection for a transaction that only reads; the caller closes it.

    Whether the log can be opened is tried out at every call, so the disk may become full or free at any time.
    """
    try:
        return engine.connect()
    except OperationalError as error:
        database = sqlite_file(engine.url)
        if database is None or not _lacks_log(error) or not _is_complete(database):
            raise
        return _unchanging(database).connect()


def full_disk(engine: Engine) -> str | None:
    """Return that the disk of a SQLite database is full, and what to do, as a sentence; None if it is not."""
    database = sqlite_file(engine.url)
    if database is None:
        return None
    try:
        is_full = shutil.disk_usage(database.parent).free < ROOM
    except OSError:
        return None
    return (
        f"the disk of {database.parent} is full: free space on it; nothing is recorded before"
        if is_full
        else None
    )


def sqlite_file(url: str | sa.URL) -> Path | None:
    """Return the file of a SQLite database; None for another database, and for one in memory."""
    address = sa.make_url(url)
    if address.get_backend_name() != "sqlite" or address.database in (None, "", ":memory:"):
        return None
    return Path(str(address.database))


def _lacks_log(error: OperationalError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF in NO_LOG  # the higher bits are the extended code


def _is_complete(database: Path) -> bool:
    """Return whether nothing that was committed is in the log only."""
    try:
        return database.stat().st_size > 0 and database.with_name(f"{database.name}-wal").stat().st_size == 0
    except FileNotFoundError:
        return database.is_file()
    except OSError:
        return False


@cache
def _unchanging(database: Path) -> Engine:
    """Return an engine that opens the file anew for each transaction, without log, locks and writes.

    If another process gets room and writes meanwhile, a transaction sees the state before.
    """
    log.warning(
        "the database is read without its log, because the disk is full or read-only",
        folder=str(database.parent),
    )
    query = {"uri": "true", "mode": "ro", "immutable": "1"}
    url = sa.URL.create("sqlite", database=f"file:{quote(str(database.resolve()))}", query=query)
    return sa.create_engine(url, poolclass=sa.NullPool)
