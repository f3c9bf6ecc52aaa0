"""How the store writes: each write is a transaction of its own, flushed to the disk before its caller goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine

from mammo.database import writing
from mammo.errors import StorageUnavailable

T = TypeVar("T")

TURN_SECONDS = 30.0
"""How long a write waits for those before it; what SQLite waits for another process, too."""


class Writer:
    """Runs the writes of many threads, and remembers how the last one went."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # SQLite has one writer at a time. Its own wait for the lock is a sleep of up to 100 ms, tried again and again:
        # of sixteen threads some wait for seconds. Here they queue. PostgreSQL flushes together those that wait.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._closed = False
        self.problem: str | None = None
        """Code of the error when the last write could not be kept; None: it was kept, or there was none yet."""

    def run(self, write: Callable[[Connection], T]) -> T:
        """Run a write; returns its value once it is committed and flushed.

        Raises:
            StorageUnavailable: it was not written, or the store is closed.
            Exception: whatever `write` raised; nothing of it was written, and it says nothing about the database.
        """
        try:
            value = self._run(write)
        except StorageUnavailable as error:
            self.problem = error.code
            raise
        self.problem = None
        return value

    def _run(self, write: Callable[[Connection], T]) -> T:
        if self._closed:
            raise StorageUnavailable("the annotation store is closed: the service is stopping")
        with self._in_turn(), writing(self._engine) as connection:
            return write(connection)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise StorageUnavailable("the database cannot be used now: others are writing")
        try:
            yield
        finally:
            self._turn.release()

    def close(self) -> None:
        """Take no more writes. Safe to call twice."""
        self._closed = True
