"""Hosts: how many downloads each host may have at once, and which hosts and images were too slow a moment ago.

A slow image occupies one of the places of its host for seconds. So an image that was too slow is not asked for again
for a while. A host is slow after several such images with no sound one between them; it then gets few places, until it
sends a sound image or some time has passed. One hiccup of a healthy host therefore costs one image.

Each purpose has places of its own, so that a flood of tasks leaves those of clicks alone, and the other way round.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog
from cachetools import LRUCache

from mammo.errors import ImageUnavailable
from mammo.images.downloads.transfer_rate import TooSlow

Purpose = Literal["task", "click", "background"]
"""What an image is downloaded for."""

PLACES = 16
"""Downloads of one purpose that a host may have at once."""

PLACES_IF_SLOW = 8
"""The same, of a slow host."""

QUEUE_IF_SLOW = 32
"""Downloads of one purpose that wait for a place of a slow host; further ones are refused at once."""

PATIENCE = 10.0
"""Seconds that a download waits for a place of a slow host."""

SLOW_AFTER = 3
"""Images in succession that are too slow, after which their host is slow."""

REMEMBERED = 60.0
"""Seconds for which a host or an image is remembered as slow."""

MAX_REMEMBERED = 10_000
"""Maximum number of hosts and of images that are remembered."""

log = structlog.get_logger()


@dataclass
class _Slowness:
    """What is remembered of a host or an image."""

    until: float
    """On the monotonic clock."""

    last: str
    """How slow it was: bytes and seconds, as text."""

    count: int = 1
    """Images in succession that were too slow."""


class Hosts:
    """Downloads in progress, and what was slow. Safe to share between threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: monotonic time in seconds, by which deadlines are given too.
        """
        self._clock = clock
        self._changed = threading.Condition()
        self._in_progress: Counter[tuple[str, Purpose]] = Counter()
        self._waiting: Counter[tuple[str, Purpose]] = Counter()
        self._slow: LRUCache[str, _Slowness] = LRUCache(MAX_REMEMBERED)
        self._slow_images: LRUCache[str, _Slowness] = LRUCache(MAX_REMEMBERED)

    @contextmanager
    def place(self, host: str, *, purpose: Purpose, deadline: float) -> Iterator[None]:
        """Occupy a place of a host, waiting until one is free.

        Raises:
            ImageUnavailable: none becomes free in time (code `slow_host` or `busy_host`).
        """
        key = host, purpose
        patience = self._clock() + PATIENCE
        with self._changed:
            self._waiting[key] += 1
            try:
                while self._in_progress[key] >= (PLACES_IF_SLOW if (slow := self._find(host)) else PLACES):
                    remaining = (min(deadline, patience) if slow else deadline) - self._clock()
                    if remaining <= 0 or (slow and self._waiting[key] > QUEUE_IF_SLOW):
                        raise self._full(host, slow)
                    self._changed.wait(remaining)
            finally:
                _decrement(self._waiting, key)
            self._in_progress[key] += 1
        try:
            yield
        finally:
            with self._changed:
                _decrement(self._in_progress, key)
                self._changed.notify_all()

    def require_not_slow(self, image: str, *, host: str) -> None:
        """Refuse an image that was too slow a moment ago.

        Raises:
            ImageUnavailable: with the code `slow_image`.
        """
        with self._changed:
            slow = self._slow_images.get(image)
            if slow is None or self._clock() >= slow.until:
                return
            until = self._time(slow.until)
        raise ImageUnavailable(
            f"an image at {host} is not asked for again until {until}, because it was too slow: {slow.last}",
            code="slow_image",
        )

    def note_slow(self, host: str, image: str, slow: TooSlow) -> None:
        """Remember that an image of a host was too slow.

        Args:
            image: address of the first request; a redirect may have led from there to the host.
        """
        last = f"{slow.num_bytes} bytes in {slow.seconds:.0f} s"
        with self._changed:
            until = self._clock() + REMEMBERED
            self._slow_images[image] = _Slowness(until, last)
            known = self._slow.get(host)
            count = known.count + 1 if known and self._clock() < known.until else 1
            self._slow[host] = _Slowness(until, last, count)
            if count >= SLOW_AFTER:
                log.warning(
                    "a host of images is slow", host=host, sent=last, images=count, until=self._time(until)
                )

    def note_sound(self, host: str) -> None:
        """Remember that a host has sent a whole image in time."""
        with self._changed:
            known = self._slow.pop(host, None)
            if known and known.count >= SLOW_AFTER:
                log.info("a host of images is no longer slow", host=host)
                self._changed.notify_all()

    def _find(self, host: str) -> _Slowness | None:
        """Return what is remembered of a slow host; None for any other."""
        slow = self._slow.get(host)
        return slow if slow and slow.count >= SLOW_AFTER and self._clock() < slow.until else None

    def _full(self, host: str, slow: _Slowness | None) -> ImageUnavailable:
        if slow is None:
            return ImageUnavailable(
                f"{PLACES} images of {host} are being downloaded, and none was finished in time; try again",
                code="busy_host",
            )
        return ImageUnavailable(
            f"{host} sends images too slowly (the last one {slow.last}): until {self._time(slow.until)} it is asked "
            f"for {PLACES_IF_SLOW} at once, and these are in progress; check the server and the network to it",
            code="slow_host",
        )

    def _time(self, moment: float) -> str:
        """Return a moment of the monotonic clock as time of day."""
        then = datetime.now(UTC) + timedelta(seconds=moment - self._clock())
        return then.strftime("%H:%M:%S UTC")


def _decrement(counter: Counter[tuple[str, Purpose]], key: tuple[str, Purpose]) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
