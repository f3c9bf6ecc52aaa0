"""Writer: runs each write of the store as a transaction of its own, flushed to the disk before it returns."""

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
"""How long a write waits for those before it, in seconds; SQLite waits as long for another process."""


class Writer:
    """Runs the writes of many threads, and remembers whether the last one failed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # SQLite has one writer at a time, and waits for its lock by sleeping up to 100 ms again and again: of sixteen
        # threads some wait for seconds. Here they queue. PostgreSQL flushes the writes that wait together.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._closed = False
        self.problem: str | None = None
        """Error code of the last write if it failed; None if it succeeded or there was none yet."""

    def run(self, write: Callable[[Connection], T]) -> T:
        """Run a write; return its value once it is committed and flushed.

        Raises:
            StorageUnavailable: nothing was written, or the store is closed.
            Exception: raised by `write` itself; nothing was written, and `problem` is unchanged.
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
        """Refuse all further writes. Safe to call twice."""
        self._closed = True
