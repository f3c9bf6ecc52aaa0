"""Backlog: work that nobody waits for yet, done while no request is: what a batch had no time for, next images."""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import structlog

from backend.logs import where

MAX_WAITING = 500
"""Pieces of work that may wait; the oldest is dropped for the newest."""

log = structlog.get_logger()


class Backlog:
    """One thread. Safe to share between threads."""

    def __init__(self, *, name: str = "backlog", niceness: int = 0) -> None:
        """
        Args:
            niceness: of the thread and of those that its work starts, in 0 ... 19; 19 runs when nobody else wants to.
        """
        self._niceness = niceness
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Hashable, Callable[[], object]] = OrderedDict()
        self._num_requests = 0
        self._working = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more; what is under way is waited for a few seconds."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def add(self, key: Hashable, work: Callable[[], object]) -> None:
        """Do this when there is time; of one key only one piece waits."""
        with self._changed:
            self._waiting.pop(key, None)
            self._waiting[key] = work
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popitem(last=False)
            self._changed.notify_all()

    def drop(self, key: Hashable) -> None:
        """Somebody does it now: take it off."""
        with self._changed:
            self._waiting.pop(key, None)

    @contextmanager
    def request(self) -> Iterator[None]:
        """While this is open nothing is begun."""
        with self._changed:
            self._num_requests += 1
        try:
            yield
        finally:
            with self._changed:
                self._num_requests -= 1
                self._changed.notify_all()

    @property
    def num_waiting(self) -> int:
        with self._changed:
            return len(self._waiting)

    def wait_until_done(self, seconds: float) -> bool:
        """Whether nothing waits or is under way any more, within some seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._working, timeout=seconds)

    def _run(self) -> None:
        if self._niceness and sys.platform == "linux":  # elsewhere it would be the whole process's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while True:
            with self._changed:
                self._working = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._stopping or (self._waiting and not self._num_requests))
                if self._stopping:
                    return
                _, work = self._waiting.popitem(last=False)
                self._working = True
            try:
                work()
            except Exception as error:  # nobody waits for it, and the rest must go on
                log.error("work in the background failed", error=type(error).__name__, where=where(error))
