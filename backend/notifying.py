"""Notifier: a thread that notices what happened and tells people, every few seconds.

Every backend has one, and they need no leader: a message is claimed before it is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from backend.logs import where
from mammo.errors import MammoError

EVERY = 5.0
"""Seconds between two rounds."""

STOP_SECONDS = 5.0
"""Seconds that a stop waits for the attempt in progress; one that is cut off is repeated after the next start."""

log = structlog.get_logger()


class Notifier:
    """Runs the rounds of `mammo.notifications.NotificationService`, or of `mammo.pacs.results.PacsResults`."""

    def __init__(
        self, round_: Callable[[], None], *, every: float = EVERY, what: str = "notifications"
    ) -> None:
        """
        Args:
            round_: notices what happened, and sends what is due.
            every: seconds between two rounds.
            what: is sent, for the log.
        """
        self._what = what
        self._round = round_
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"sender of {what}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current round, for which a few seconds are waited."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self._round()
            except MammoError as error:
                log.warning(f"a round of {self._what} failed", code=error.code)
            except Exception as error:  # one unexpected row must not end the thread; it may quote an address
                log.error(f"a round of {self._what} failed", error=type(error).__name__, where=where(error))
            self._stopped.wait(self._every)
