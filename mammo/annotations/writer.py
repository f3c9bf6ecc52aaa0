"""How writes reach the disk: on SQLite one thread writes for all, on PostgreSQL each call is a transaction.

A durable insert costs one fsync, 4 to 8 ms. Sixteen threads that each commit for themselves fight for SQLite's
one write lock, and some wait for seconds; one writer that commits whatever has queued up makes thousands of
durable inserts a second and nobody waits long.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Connection, Engine

from mammo.database import UNAVAILABLE, writing
from mammo.errors import StorageUnavailable

T = TypeVar("T")

CLOSED = "the annotation store is closed: the service is stopping"

MAX_BATCH = 256
"""Most writes that share one commit."""


class Writer(Protocol):
    """Runs writes of many threads; each returns once it is flushed."""

    def run(self, write: Callable[[Connection], T]) -> T: ...

    def close(self) -> None: ...


def writer_for(engine: Engine) -> Writer:
    """The way of writing that the database is good at."""
    return GroupCommit(engine) if engine.dialect.name == "sqlite" else Transactions(engine)


class Watched:
    """A writer that remembers how its last write went."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.problem: str | None = None
        """Code of the error when the last write could not be kept; None: it was kept, or there was none yet."""

    def run(self, write: Callable[[Connection], T]) -> T:
        """See `Writer`; a write that fails of itself says nothing about the database."""
        try:
            value = self._writer.run(write)
        except StorageUnavailable as error:
            self.problem = error.code
            raise
        self.problem = None
        return value

    def close(self) -> None:
        self._writer.close()


class Transactions:
    """A transaction for each write: PostgreSQL lets many write at once and groups their flushes by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = threading.Event()

    def run(self, write: Callable[[Connection], T]) -> T:
        """Run a write; returns its value once it is committed and flushed.

        Raises:
            StorageUnavailable: it was not written, or the writer is closed.
            Exception: whatever `write` raised; nothing of it was written.
        """
        if self._closed.is_set():
            raise StorageUnavailable(CLOSED)
        with writing(self._engine) as connection:
            return write(connection)

    def close(self) -> None:
        """Take nothing more. Safe to call twice."""
        self._closed.set()


@dataclass
class _Write:
    run: Callable[[Connection], Any]
    done: Future[Any] = field(default_factory=Future)


class GroupCommit:
    """Runs writes one after the other on a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closed = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="group-commit", daemon=True)
        self._thread.start()

    def run(self, write: Callable[[Connection], T]) -> T:
        """Run a write; returns its value once it is committed and flushed.

        Args:
            write: may be run a second time, where another write of the same batch fails.

        Raises:
            StorageUnavailable: it was not written, or the writer is closed.
            Exception: whatever `write` raised; nothing of it was written.
        """
        entry = _Write(write)
        with self._gate:
            if self._closed:
                raise StorageUnavailable(CLOSED)
            self._waiting.put(entry)
        result: T = entry.done.result()
        return result

    def close(self) -> None:
        """Finish what waits, then stop. Safe to call twice."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = self._gather(first)
            self._commit(batch)
            if last:
                return

    def _gather(self, first: _Write) -> tuple[list[_Write], bool]:
        """All that waits already, and whether the end has come."""
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                entry = self._waiting.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                return batch, True
            batch.append(entry)
        return batch, False

    def _commit(self, batch: list[_Write]) -> None:
        try:
            with writing(self._engine) as connection:
                values = [_attempt(entry, connection) for entry in batch]
        except _Failed:
            self._commit_each(batch)
        except Exception as error:  # whatever happened, nobody may wait for ever
            for entry in batch:
                entry.done.set_exception(error)
        else:
            for entry, value in zip(batch, values, strict=True):
                entry.done.set_result(value)

    def _commit_each(self, batch: list[_Write]) -> None:
        """Run each write in a transaction of its own, so that one that fails does not take its neighbours with it."""
        for entry in batch:
            try:
                with writing(self._engine) as connection:
                    value = entry.run(connection)
            except Exception as error:  # handed to the one who asked for this write
                entry.done.set_exception(error)
            else:
                entry.done.set_result(value)


class _Failed(Exception):
    """A write failed of itself; the batch is rolled back."""


def _attempt(entry: _Write, connection: Connection) -> Any:
    try:
        return entry.run(connection)
    except UNAVAILABLE:
        raise  # the database itself: the whole batch fails
    except Exception as error:
        raise _Failed from error
