"""Gestures: what an annotator does on the page, and how many seconds each takes.

`seconds.json` has both parts of a gesture's time with their sources: what the page takes was measured in the real Label
Studio by a script, which neither thinks nor moves a hand; what the hand takes are the operators of the keystroke-level
model. A tally of gestures is priced afterwards, so one simulation gives the seconds of several tools.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

FILE = Path(__file__).with_name("seconds.json")

Gesture = Literal[
    "submit and see the next task",
    "delete",
    "add by click",
    "select",
    "move a vertex",
    "take up the outline",
    "set a vertex",
]
GESTURES: tuple[Gesture, ...] = get_args(Gesture)

Tool = Literal["polygon", "brush"]

DECISIONS = "decisions"
"""Entry of a tally: findings, or whole images, that were judged."""

OUTLINE_CM = "outline, cm"
CORRECTED_CM = "corrected outline, cm"
"""Entries of a tally: length of the outlines that were drawn, and of those that were corrected, on the screen."""

OUTLINES, CORRECTED = "outlines", "corrected outlines"

Tally = dict[str, float]
"""How often each gesture was made, and the entries above; a missing one is 0."""


@dataclass(frozen=True)
class Prices:
    """Seconds of gestures."""

    operators: Mapping[str, float]
    gestures: Mapping[str, Mapping[str, Any]]
    cm_per_pixel: float

    def of(self, gesture: str) -> float:
        """Return the seconds of a gesture: of the hand and of the page.

        Raises:
            KeyError: `seconds.json` has no such gesture.
        """
        parts = self.gestures[gesture]
        if "measured" in parts:
            return float(parts["measured"])
        press, point = self.operators["press"], self.operators["point"]
        return float(
            parts.get("keys", 0) * self.operators["key"]
            + parts.get("homes", 0) * self.operators["home"]
            + parts.get("clicks", 0) * (point + press)
            + parts.get("drags", 0) * 2 * (point + press)
            + parts["screen"]
        )

    def work(self, tally: Mapping[str, float], *, tool: Tool) -> float:
        """Return the seconds of a tally, decisions included, with outlines as polygons or painted by brush.

        A brush paints an outline that a polygon would set vertex by vertex, and again the part of one that it corrects,
        as the model's drawing operator: straight segments and their length.
        """
        seconds = tally.get(DECISIONS, 0) * self.operators["decide"]
        if tool == "polygon":
            return seconds + sum(tally.get(each, 0) * self.of(each) for each in GESTURES)
        vertices = tally.get("set a vertex", 0) + tally.get("move a vertex", 0)
        drawn = tally.get(OUTLINE_CM, 0.0) + tally.get(CORRECTED_CM, 0.0)
        started = tally.get(OUTLINES, 0) + tally.get(CORRECTED, 0)
        return (
            seconds
            + tally.get("submit and see the next task", 0) * self.of("submit and see the next task")
            + tally.get("delete", 0) * self.of("delete a brush region")
            + tally.get("add by click", 0) * self.of("add by click")
            + started * (self.operators["key"] + self.operators["point"] + self.operators["press"])
            + vertices * self.operators["draw_segment"]
            + drawn * self.operators["draw_cm"]
        )


@cache
def prices() -> Prices:
    """Read `seconds.json`."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    operators = {name: value for name, value in content["operators"].items() if name != "source"}
    return Prices(operators, content["gestures"], content["screen"]["cm_per_pixel"])
