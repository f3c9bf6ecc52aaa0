"""The states of a run, and which may follow which."""

from __future__ import annotations

from typing import Literal

State = Literal[
    "queued",
    "building",
    "detector",
    "segmenter",
    "evaluating",
    "judged",
    "promoted",
    "kept",
    "failed",
    "cancelled",
]

Trigger = Literal["button", "api", "cli", "corrections", "schedule"]
"""What asked for a run: Label Studio's button, the HTTP API, the command line, enough new corrections, the clock."""

WORKING: tuple[State, ...] = ("queued", "building", "detector", "segmenter", "evaluating", "judged")
"""In this order, each once; a run that was killed stays where it was, and goes on there."""

ENDED: tuple[State, ...] = ("promoted", "kept", "failed", "cancelled")

RESUMABLE: tuple[State, ...] = ("failed", "cancelled")
"""From here a person may send a run back to `queued`; what its stages came to is kept."""


def may_follow(old: State, new: State) -> bool:
    """Whether a run in state `old` may move to `new`."""
    if old in RESUMABLE:
        return new == "queued"
    if old not in WORKING:
        return False
    if new in ("failed", "cancelled"):
        return True
    if new in ("promoted", "kept"):
        return old == "judged"
    return WORKING.index(new) == WORKING.index(old) + 1
