"""Champion announcements over Redis: backends check the registry at once instead of at the next poll.

Step 13 of the walk begins here, and ends in `backend.model_host`.

A message is only a hint: its receiver reads the champion from the registry. A lost message, or an unreachable Redis,
delays the change until the next poll.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import redis
import structlog

CHANNEL = "yolo-mlsam:champion"

LISTEN_SECONDS = 1.0
"""Longest wait for a message, and so for stopping, in seconds."""

MAX_PAUSE = 30.0
"""Longest pause between two attempts to connect, in seconds."""

log = structlog.get_logger()


def announce_champion(connection: redis.Redis, version: str) -> bool:
    """Announce a new champion; returns whether Redis accepted the message. Never raises."""
    try:
        connection.publish(CHANNEL, version)
    except (redis.RedisError, OSError) as error:
        log.info("champion could not be announced", error=type(error).__name__)
        return False
    return True


class ChampionListener:
    """Listens on its own thread; calls `on_announcement` after each message and each new connection."""

    def __init__(
        self,
        connection: redis.Redis,
        on_announcement: Callable[[], None],
        *,
        first_pause: float = 1.0,
    ) -> None:
        """
        Args:
            connection: client of Redis, which stays the caller's.
            first_pause: Pause before the second attempt to connect, in seconds; it doubles with each attempt.
        """
        self._connection, self._on_announcement, self._first_pause = connection, on_announcement, first_pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion-listener", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        pause, is_logged = self._first_pause, False
        while not self._stopping.is_set():
            try:
                self._listen()
                return
            except _ConnectionLost as lost:
                pause, is_logged = self._first_pause, False
                error: BaseException | None = lost.__cause__
            except (redis.RedisError, OSError) as failed:
                error = failed
            if not is_logged:
                log.info("no champion announcements, polling the registry", error=type(error).__name__)
            is_logged = True
            self._stopping.wait(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def _listen(self) -> None:
        with self._connection.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(CHANNEL)
            self._connection.ping()
            try:
                self._on_announcement()  # announcements before the connection were missed
                while not self._stopping.is_set():
                    if channel.get_message(timeout=LISTEN_SECONDS) is not None:
                        self._on_announcement()
            except (redis.RedisError, OSError) as error:
                raise _ConnectionLost from error


class _ConnectionLost(Exception):
    """An established connection was lost."""
