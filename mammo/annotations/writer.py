"""How writes reach the disk: on SQLite one thread writes for all, on PostgreSQL each call is a transaction.

A durable insert costs one fsync, 4 to 8 ms. Sixteen threads that each commit for themselves fight for SQLite's
one write lock, and some wait for seconds; one writer that commits whatever has queued up makes thousands of
durable inserts a second and nobody waits long.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Connection, Engine

from mammo.database import UNAVAILABLE, writing
from mammo.errors import StorageUnavailable

T = TypeVar("T")
Item = TypeVar("Item")

Many = Callable[[Connection, Sequence[Item]], Sequence[T]]
"""A write of several alike things at once; its values are in the order of the things."""

CLOSED = "the annotation store is closed: the service is stopping"

MAX_BATCH = 256
"""Most writes that share one commit."""

TRANSACTIONS = 16
"""Submitted transactions at once; PostgreSQL flushes those that wait together."""


class Writer(Protocol):
    """Runs writes of many threads; each returns once it is flushed."""

    def run(self, write: Callable[[Connection], T]) -> T: ...

    def put(self, write: Many[Item, T], item: Item) -> T: ...

    def submit(self, write: Many[Item, T], item: Item) -> Future[T]: ...

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
        return self._remember(lambda: self._writer.run(write))

    def put(self, write: Many[Item, T], item: Item) -> T:
        """See `Writer`."""
        return self._remember(lambda: self._writer.put(write, item))

    def submit(self, write: Many[Item, T], item: Item) -> Future[T]:
        """See `Writer`; how it went is remembered before an event loop that waits for the future hears of it."""

        def remember(future: Future[T]) -> None:
            with suppress(Exception):  # it is for the one who waits
                self._remember(future.result)

        future = self._writer.submit(write, item)
        future.add_done_callback(remember)
        return future

    def _remember(self, act: Callable[[], T]) -> T:
        try:
            value = act()
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
        self._threads = ThreadPoolExecutor(TRANSACTIONS, "transaction")

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

    def put(self, write: Many[Item, T], item: Item) -> T:
        """`run` a write of one thing."""
        return self.run(lambda connection: write(connection, [item])[0])

    def submit(self, write: Many[Item, T], item: Item) -> Future[T]:
        """Begin a write in a transaction of its own; the future ends as `put` does.

        Raises:
            StorageUnavailable: the writer is closed.
        """
        try:
            return self._threads.submit(self.put, write, item)
        except RuntimeError as error:  # its threads have ended
            raise StorageUnavailable(CLOSED) from error

    def close(self) -> None:
        """Finish what was submitted, and take nothing more. Safe to call twice."""
        self._threads.shutdown()
        self._closed.set()


@dataclass
class _Write:
    write: Many[Any, Any]
    item: Any = None
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
        return self.put(lambda connection, _: [write(connection)], None)

    def put(self, write: Many[Item, T], item: Item) -> T:
        """`submit`, and wait for it."""
        return self.submit(write, item).result()

    def submit(self, write: Many[Item, T], item: Item) -> Future[T]:
        """Begin a write; those that wait with the same `write` are done in one call of it.

        Args:
            write: may be called a second time, with fewer things, where another write of the same batch fails.
            item: the thing to be written.

        Returns:
            Ends once it is committed and flushed, as `run` does; it cannot be cancelled.

        Raises:
            StorageUnavailable: the writer is closed.
        """
        entry = _Write(write, item)
        entry.done.set_running_or_notify_cancel()  # whoever stops waiting must not stop the writer
        with self._gate:
            if self._closed:
                raise StorageUnavailable(CLOSED)
            self._waiting.put(entry)
        return entry.done

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
                values = list(_attempt(batch, connection))
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
                    (value,) = entry.write(connection, [entry.item])
            except Exception as error:  # handed to the one who asked for this write
                entry.done.set_exception(error)
            else:
                entry.done.set_result(value)


class _Failed(Exception):
    """A write failed of itself; the batch is rolled back."""


def _attempt(batch: Sequence[_Write], connection: Connection) -> Iterator[Any]:
    """The values of all, in their order; neighbours of one kind are written together."""
    try:
        for write, alike in groupby(batch, key=lambda entry: entry.write):
            yield from write(connection, [entry.item for entry in alike])
    except UNAVAILABLE:
        raise  # the database itself: the whole batch fails
    except Exception as error:
        raise _Failed from error
