"""Hands: a reader who works in Chromium, with the gestures of the exam's page."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import cv2
import numpy as np

from benchmarks.annotator import Screen, area, selected
from benchmarks.corrections.meaning import Points
from benchmarks.corrections.reader import Impossible, Reader, Result

PAGE = "() => JSON.parse(JSON.stringify(window.Htx.annotationStore.selected.serializeAnnotation()))"
SELECTED = """() => window.Htx.annotationStore.selected.regions
    .filter(each => each.inSelection).map(each => each.cleanId)"""
WHOLE = "5"
LARGE = {"RCC": "6", "LCC": "6", "RMLO": "7", "LMLO": "7"}
"""Key that enlarges a view and its opposite."""

SAME_ON_SCREEN = 0.9
"""As `SAME`; a pixel of the screen is two or more of the image, and the mouse goes by whole ones."""

MIN_RADIUS = 2.5
"""Of an outline by hand, in percent of the image's width: a click on a handle is none on the image."""

TRIES = 5
"""Places that are tried for an outline by hand."""

SETTLE = 400
"""Milliseconds until the page shows another hanging."""


class Hands(Reader):
    """Corrects the exam that a page shows. `result` is what the page would submit."""

    _max_corners = 5

    def __init__(self, screen: Screen, **reader: Any) -> None:
        super().__init__(**reader)
        self._screen = screen
        self.meaning.same = SAME_ON_SCREEN

    def _pick(self) -> str:
        """Return the largest finding that no correction was about: small handles lie above each other."""
        about = {name for _, name in self.done}
        names = [name for name in self._free() if name not in about]
        if not names:
            raise Impossible
        sizes = {each["id"]: area(each) for each in self._outlines()}
        return max(names, key=lambda name: sizes[name])

    def _select(self, name: str) -> None:
        """Click inside an outline."""
        self._screen.hands.key("Escape")
        self._enlarge(self.meaning.findings[name].view)
        self._screen.hands.click(self._inside(name))
        self._screen.until(lambda: selected(self._screen.page))
        if self._screen.page.evaluate(SELECTED) != [name]:
            raise Impossible

    def _add_by_hand(self) -> str:
        for _ in range(TRIES - 1):
            with suppress(Impossible):
                return super()._add_by_hand()
        return super()._add_by_hand()

    def _around(self, middle: Sequence[float], radius: float) -> list[list[float]]:
        """Return an outline whose corners are farther apart than Label Studio's handles are wide."""
        return super()._around(middle, max(radius, MIN_RADIUS))

    def _draw(self, view: str, points: Points) -> str:
        before = {each["id"] for each in self._outlines()}
        self._enlarge(view)
        self._screen.page.locator(f".view-{view} .draw .lsf-label").first.click()
        for point in [*points, points[0]]:
            self._screen.hands.click(self._screen.place(view, *point))
            # The page of a busy machine is late.
            self._screen.page.wait_for_timeout(SETTLE)
        self._screen.page.wait_for_timeout(5 * SETTLE)
        if len(self._screen.regions()) == len(before):
            # A toolbar or the label of a link lay above a corner: nothing was drawn, and Escape drops what was begun.
            self._screen.hands.key("Escape")
            raise Impossible
        self._screen.hands.key("Escape")
        # After drawing, the keys of the prompts need the pink tool again.
        self._screen.page.locator(f".view-{view} .lsf-toolbar .lsf-toolbar__group").last.click()
        self._read()
        (name,) = {each["id"] for each in self._outlines()} - before
        return str(name)

    def _drag(self, name: str, vertex: int, points: Points) -> None:
        self._select(name)
        view, before = self.meaning.findings[name].view, self.meaning.findings[name].points[vertex]
        self._screen.hands.drag(self._screen.place(view, *before), self._screen.place(view, *points[vertex]))
        self._screen.hands.key("Escape")
        self._read()

    def _remove(self, name: str) -> None:
        self._select(name)
        number = len(self._screen.regions())
        self._screen.hands.key("Backspace")
        self._screen.until(lambda: len(self._screen.regions()) == number - 1)
        self._read()

    def _ask_for(self, view: str, place: Sequence[float], *, positive: bool) -> Result:
        page = self._screen.page
        self._enlarge(view)
        page.wait_for_timeout(6000)  # until the draft is saved: the model sees what is on the page
        self._screen.hands.key("Escape")
        self._screen.hands.key("1")
        with page.expect_response(lambda each: "interactive-annotating" in each.url) as answered:
            self._screen.hands.click(
                self._screen.place(view, *place), *(("Control",) if positive else ("Control", "Alt"))
            )
        (answer,) = [e for e in answered.value.json()["data"]["result"] if e["type"] == "polygonlabels"]
        page.wait_for_timeout(SETTLE)
        self._screen.hands.key("Escape")
        self._read()
        if not page.locator(f".view-{view} img").count():
            raise AssertionError("the images are gone after a click")
        return dict(answer)

    def _choose(self, name: str, control: str, word: str) -> None:
        self._select(name)
        view = self.meaning.findings[name].view
        row = self._screen.page.locator(".per .row:visible")
        row.locator(f"input[name='{word}']").first.check(force=True)
        self._screen.page.wait_for_timeout(SETTLE)
        self._screen.hands.key("Escape")
        self._read()
        if not any(each.get("from_name") == f"{control}-{view}" for each in self.result):
            raise AssertionError(f"{word} was not taken for {name}")

    def _connect(self, one: str, other: str) -> None:
        self._screen.hands.key("Escape")
        self._screen.hands.key(WHOLE)
        self._screen.page.wait_for_timeout(SETTLE)
        number = len(self._screen.links())
        self._screen.hands.click(self._inside(one))
        self._screen.until(lambda: selected(self._screen.page))
        if self._screen.page.evaluate(SELECTED) != [one]:
            raise Impossible
        self._screen.hands.key("Alt+r")
        self._screen.hands.click(self._inside(other))
        self._screen.until(lambda: len(self._screen.links()) == number + 1)
        self._screen.hands.key("Escape")
        self._read()

    def _enlarge(self, view: str) -> None:
        """Show a view large, if it is not."""
        if self._large != LARGE[view]:
            self._screen.hands.key(LARGE[view])
            self._screen.page.wait_for_timeout(SETTLE)

    @property
    def _large(self) -> str:
        """Key of the hanging that is chosen."""
        boxes = {view: self._screen.page.locator(f".view-{view}").bounding_box() for view in LARGE}
        widths = {view: box["width"] for view, box in boxes.items() if box is not None}
        if max(widths.values()) < 1.5 * min(widths.values()):
            return WHOLE
        return LARGE[max(widths, key=lambda view: widths[view])]

    def _inside(self, name: str) -> tuple[float, float]:
        """Return the place on the screen of the point of a finding that is farthest from its outline."""
        meant = self.meaning.findings[name]
        pixels = meant.pixels(self._size)
        depth = cv2.distanceTransform(pixels.astype(np.uint8), cv2.DIST_L2, 5)
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
        x, y = (column + 0.5) * 100 / self._size.width, (row + 0.5) * 100 / self._size.height
        return self._screen.place(meant.view, float(x), float(y))

    def _read(self) -> None:
        self.result = copy.deepcopy(list(self._screen.page.evaluate(PAGE)))
