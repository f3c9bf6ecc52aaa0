"""Backlog: work for idle times, such as tasks that a batch had no time for, and images that will be opened next."""

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
"""Most items that may wait; further ones displace the oldest."""

log = structlog.get_logger()


class Backlog:
    """Works on one item at a time, oldest first, in its own thread. Safe to share between threads."""

    def __init__(self, *, name: str = "backlog", niceness: int = 0) -> None:
        """
        Args:
            niceness: of the thread and of those that its work starts, 0 to 19 (lowest priority).
        """
        self._niceness = niceness
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Hashable, Callable[[], object]] = OrderedDict()
        self._num_requests = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin no further item, and wait a few seconds for the current one."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def add(self, key: Hashable, work: Callable[[], object]) -> None:
        """Add an item at the end; it replaces a waiting one with the same key."""
        with self._changed:
            self._waiting.pop(key, None)
            self._waiting[key] = work
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popitem(last=False)
            self._changed.notify_all()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Begin no item during the block."""
        with self._changed:
            self._num_requests += 1
        try:
            yield
        finally:
            with self._changed:
                self._num_requests -= 1
                self._changed.notify_all()

    def _run(self) -> None:
        if self._niceness and sys.platform == "linux":  # elsewhere it would apply to the whole process
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or (self._waiting and not self._num_requests))
                if self._stopping:
                    return
                _, work = self._waiting.popitem(last=False)
            try:
                work()
            except Exception as error:  # the other items must go on
                log.error("an item of the backlog failed", error=type(error).__name__, where=where(error))
