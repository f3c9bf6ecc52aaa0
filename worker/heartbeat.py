"""Heartbeat: a thread that records every few seconds that a run is being worked on, however long its steps take."""

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
    """Beat every `every` seconds during the block. A database outage is logged and does not end the training."""
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(every):
            try:
                ledger.beat()
            except Cancelled:
                return  # the run's next report raises it in the job's own thread
            except MammoError as error:
                log.warning("heartbeat_not_written", code=error.code)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
