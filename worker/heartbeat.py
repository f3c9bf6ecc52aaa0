"""Heartbeat: says every few seconds that the process that works on a run lives, however long a step takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from mammo.errors import Cancelled, MammoError
from mammo.runs import RunLedger

BEAT_SECONDS = 5.0

log = structlog.get_logger()


@contextmanager
def heartbeat(ledger: RunLedger, *, every: float = BEAT_SECONDS) -> Iterator[None]:
    """Beat beside the block. A database that is away for a while is no reason to give hours of training up."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every):
            try:
                ledger.beat()
            except Cancelled:
                return  # the next report of the run says so
            except MammoError as error:
                log.warning("heartbeat_not_written", code=error.code)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
