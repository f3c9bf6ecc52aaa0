"""Waiting for a backlog."""

from __future__ import annotations

import threading

from backend.backlog import Backlog


def is_done_within(seconds: float, backlog: Backlog) -> bool:
    """Wait until the last item is done, those that items add included; False when `seconds` are over before."""
    done = threading.Event()

    def look() -> None:
        # This runs in the backlog's thread, so no other item is being worked on.
        if backlog._waiting:
            backlog.add(look, look)
        else:
            done.set()

    backlog.add(look, look)
    return done.wait(seconds)
