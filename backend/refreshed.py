"""Refreshed: figures that take longer than a page may, computed in the background and shown with their age."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import structlog

from backend.logs import where
from mammo.errors import MammoError

log = structlog.get_logger()

Key = TypeVar("Key")
Value = TypeVar("Value")

EVERY = timedelta(seconds=60)
"""Age from which a figure is computed again when somebody looks at it."""

PATIENCE = 0.05
"""Seconds for which a first look waits: long enough for a small project. Later looks at a figure that is still being
computed wait only until so long after its computation began."""

MAX_FIGURES = 1000
"""Figures that are kept, the newest: whoever looks chooses the keys."""


@dataclass(frozen=True)
class Figure(Generic[Value]):
    """A figure, or why there is none."""

    value: Value | None = None
    at: datetime | None = None
    """When it was computed; None: it is being computed for the first time."""

    problem: str = ""


class Refreshed(Generic[Key, Value]):
    """Computes a figure per key in one thread. Safe to share between threads."""

    def __init__(
        self,
        compute: Callable[[Key], Value],
        *,
        stamp: Callable[[Key], object] = lambda _: object(),
        every: timedelta = EVERY,
        patience: float = PATIENCE,
        thread: ThreadPoolExecutor | None = None,
    ) -> None:
        """
        Args:
            compute: called in a thread of its own; a MammoError becomes the figure's `problem`.
            stamp: quick to compute; while it stays equal, the figure does, and is not computed again.
            thread: shared with other figures, so that they are computed one after the other; None: one of its own.
        """
        self._compute = compute
        self._stamp = stamp
        self._stamps: dict[Key, object] = {}
        self._every = every
        self._patience = patience
        self._lock = threading.Lock()
        self._figures: dict[Key, Figure[Value]] = {}
        self._running: dict[Key, tuple[Future[Figure[Value]], float]] = {}
        """What is being computed, and when that was asked for, by `time.monotonic`."""

        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="figures")

    def get(self, key: Key, *, patience: float | None = None) -> Figure[Value]:
        """Return the newest figure; one that is too old is computed again meanwhile.

        Args:
            patience: seconds for which a first look waits; None: those of all.
        """
        now = time.monotonic()
        with self._lock:
            known = self._figures.get(key)
            is_fresh = (
                known is not None and known.at is not None and datetime.now(UTC) - known.at < self._every
            )
            if known is not None and is_fresh:
                return known
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = self._thread.submit(self._refresh, key), now
        if known is not None:
            return known
        figure, asked_at = running
        try:
            return figure.result(
                max(0.0, asked_at + (self._patience if patience is None else patience) - now)
            )
        except NotYet:
            return Figure()

    def forget(self, key: Key) -> None:
        """Compute a figure anew at the next look, because what it is made of was changed."""
        with self._lock:
            self._figures.pop(key, None)
            self._stamps.pop(key, None)

    def close(self) -> None:
        """Start no computation any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _refresh(self, key: Key) -> Figure[Value]:
        stamp: object = None
        try:
            stamp, known = self._stamp(key), self._figures.get(key)
            if known is not None and not known.problem and self._stamps.get(key) == stamp:
                figure = replace(known, at=datetime.now(UTC))
            else:
                figure = Figure(self._compute(key), datetime.now(UTC))
        except MammoError as error:
            figure = Figure(None, datetime.now(UTC), str(error))
        except Exception as error:  # a page without a figure is better than no page
            log.error("a figure could not be computed", error=type(error).__name__, where=where(error))
            figure = Figure(
                None, datetime.now(UTC), "this figure could not be computed; see the server's log"
            )
        with self._lock:
            self._figures.pop(key, None)  # the newest is the last
            self._figures[key], self._stamps[key] = figure, stamp
            self._running.pop(key, None)
            if len(self._figures) > MAX_FIGURES:
                oldest = next(iter(self._figures))
                del self._figures[oldest], self._stamps[oldest]
        return figure
