"""Shapes of results: which keys and origins Label Studio's editor submits, whatever the values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mammo.labelstudio.shown_version import VERSION_CONTROL

Shape = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""Type, origin, keys of the result, keys of its value."""

PLACE = (
    "from_name",
    "id",
    "image_rotation",
    "origin",
    "original_height",
    "original_width",
    "to_name",
    "type",
    "value",
)
OURS = tuple(sorted((*PLACE, "meta", "score")))
NOTED = tuple(sorted((*PLACE, "meta")))
OUTLINE = ("closed", "points", "polygonlabels")
CHOICE = ("choices", "closed", "points")
LINK = ("direction", "from_id", "to_id", "type")

RECORDED: frozenset[Shape] = frozenset(
    {
        ("polygonlabels", "prediction", OURS, OUTLINE),
        ("polygonlabels", "prediction-changed", OURS, OUTLINE),
        ("polygonlabels", "manual", OURS, OUTLINE),
        ("polygonlabels", "manual", PLACE, OUTLINE),
        ("polygonlabels", "manual", NOTED, OUTLINE),
        ("choices", "prediction", NOTED, CHOICE),
        ("choices", "prediction-changed", NOTED, CHOICE),
        ("choices", "manual", NOTED, CHOICE),
        ("choices", "manual", PLACE, CHOICE),
        ("relation", "", LINK, ()),
        ("relation", "", tuple(sorted((*LINK, "labels"))), ()),
    }
)
"""What Label Studio 1.23.2 submitted in Chromium; `python -m benchmarks.corrections` compares."""

VIEWING = ("hanging", "look", VERSION_CONTROL)
"""Controls that say how the page was shown, and by which model it was outlined."""


def shapes(result: Iterable[Mapping[str, Any]]) -> set[Shape]:
    """Return the shapes of an annotation's results, without those that say how the page was shown."""
    return {
        (each["type"], each.get("origin", ""), tuple(sorted(each)), tuple(sorted(each.get("value", ()))))
        for each in result
        if each.get("from_name") not in VIEWING
    }
