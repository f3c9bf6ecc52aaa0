"""The states of a run and the transitions between them."""

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
    "provisional",
    "failed",
    "cancelled",
]

Trigger = Literal["button", "api", "cli", "corrections", "schedule", "adapt"]
"""What requested a run: Label Studio's button, the HTTP API, the command line, enough new corrections, the schedule; or
`yolo-mlsam adapt`, whose run is an adaptation, no retrain."""

NO_PROJECT = 0
"""Project of an adaptation to a site that has none; Label Studio counts from 1."""

WORKING: tuple[State, ...] = ("queued", "building", "detector", "segmenter", "evaluating", "judged")
"""States of an active run, passed in this order; a run whose process was killed continues in the same state."""

ENDED: tuple[State, ...] = ("promoted", "kept", "provisional", "failed", "cancelled")

RESUMABLE: tuple[State, ...] = ("failed", "cancelled")
"""States from which a person may return a run to `queued`; the results of its stages are retained."""


PROVISIONAL_RECIPES: tuple[str, ...] = ("provisional", "provisional-smoke")
"""Recipes of runs for a provisional model, defined in `training.provisional.recipes`; the last is for tests."""


def is_provisional(recipe: str) -> bool:
    """Return whether a run with this recipe is for a provisional model."""
    return recipe in PROVISIONAL_RECIPES


def kind_of(trigger: Trigger, recipe: str) -> Literal["adapt", "provisional", "retrain"]:
    """Return the kind of a run, with which its id begins."""
    if trigger == "adapt":
        return "adapt"
    return "provisional" if is_provisional(recipe) else "retrain"


def may_follow(old: State, new: State) -> bool:
    """Return whether a run in state `old` may move to `new`."""
    if old in RESUMABLE:
        return new == "queued"
    if old not in WORKING:
        return False
    if new in ("failed", "cancelled"):
        return True
    if new in ("promoted", "kept", "provisional"):
        return old == "judged"
    return WORKING.index(new) == WORKING.index(old) + 1
