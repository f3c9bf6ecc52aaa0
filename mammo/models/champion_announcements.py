"""Champion news: who moves the champion says so over Redis, and backends look at once instead of at their next turn.

A message carries nothing that counts: who hears one looks into the registry, which alone knows. A lost message, or a
broker that is away, costs the time to the next look and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import redis
import structlog

CHANNEL = "yolo-mlsam:champion"

TELL_SECONDS = 2.0
"""Longest time that telling may take."""

LISTEN_SECONDS = 1.0
"""How long one wait for a message lasts; stopping takes at most so long."""

MAX_PAUSE = 30.0
"""Longest pause between two attempts to reach a broker that is away, in seconds."""

log = structlog.get_logger()


def tell_backends(url: str, version: str) -> bool:
    """Say that another version is the champion; whether the broker took the message. Never raises.

    Args:
        url: the broker, as in `Settings.redis_url`.
    """
    try:
        with _connected(url) as connection:
            connection.publish(CHANNEL, version)
    except (redis.RedisError, OSError, ValueError) as error:
        log.info("backends are not told of the champion", error=type(error).__name__)
        return False
    return True


class ChampionNews:
    """Listens on a thread of its own; calls `heard` after each message, and after each new connection."""

    def __init__(self, url: str, heard: Callable[[], None], *, first_pause: float = 1.0) -> None:
        """
        Args:
            first_pause: seconds before a second attempt to connect; they double from one to the next.
        """
        self._url, self._heard, self._first_pause = url, heard, first_pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion-news", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        pause, silent = self._first_pause, False
        while not self._stopping.is_set():
            try:
                self._listen()
                return
            except _Heard as reached:
                pause, silent = self._first_pause, False
                error: BaseException | None = reached.__cause__
            except (redis.RedisError, OSError, ValueError) as away:
                error = away
            if not silent:
                log.info(
                    "no news of the champion: its alias is looked at in turn", error=type(error).__name__
                )
            silent = True
            self._stopping.wait(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def _listen(self) -> None:
        with (
            _connected(self._url) as connection,
            connection.pubsub(ignore_subscribe_messages=True) as channel,
        ):
            channel.subscribe(CHANNEL)
            connection.ping()
            try:
                self._heard()  # what was said while nobody listened
                while not self._stopping.is_set():
                    if channel.get_message(timeout=LISTEN_SECONDS) is not None:
                        self._heard()
            except (redis.RedisError, OSError) as error:
                raise _Heard from error


class _Heard(Exception):
    """The connection stood, and broke."""


def _connected(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=TELL_SECONDS,
        socket_timeout=TELL_SECONDS + LISTEN_SECONDS,
        health_check_interval=15,
    )
