"""The gate's figures in words."""

from __future__ import annotations

NAMES = {
    "primary": "score",
    "dice": "Dice, all lesions",
    "false_positives": "false positives per image shown",
}

SENSITIVITY = "sensitivity_"


def figure_name(key: str) -> str:
    """Return what a figure of a verdict's JSON means; an unknown one by its key."""
    if key.startswith(SENSITIVITY):
        return f"sensitivity at {key.removeprefix(SENSITIVITY)} false positives per image"
    return NAMES.get(key, key)
