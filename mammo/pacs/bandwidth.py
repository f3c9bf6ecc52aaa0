"""Bandwidth: bytes per second that all connections together may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_SECONDS = 1.0
"""Time whose bytes may arrive at once after a pause."""


class Bandwidth:
    """Lets bytes through at a rate. Safe to share between threads."""

    def __init__(
        self,
        bytes_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            bytes_per_second: 0: no limit.
            clock: monotonic time in seconds.
            sleep: waits for so many seconds.
        """
        self._rate = bytes_per_second
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._paid_until = clock()
        """Time until which the bytes that were taken use the whole rate."""

    def take(self, num_bytes: int) -> None:
        """Wait until so many bytes that have arrived are within the rate; the sender waits by TCP's flow control."""
        if not self._rate:
            return
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - BURST_SECONDS) + num_bytes / self._rate
            wait = self._paid_until - now
        if wait > 0:
            self._sleep(wait)
