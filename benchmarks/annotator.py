"""A scripted annotator in a real Label Studio and Chromium: what each gesture costs, in actions and seconds.

    python -m benchmarks.annotator --exams 6 --shots /tmp/shots

An action is a click, a drag, or a key (with its modifiers). Seconds are from the first action until the page shows the
result; the machine's own, since a script does not think. A job is done on several exams; the median is reported.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as TimeoutError_

from benchmarks.annotator_site import AnnotatorSite, annotator_site
from benchmarks.result import Result

EXAMS = 6
WINDOW = {"width": 1920, "height": 1080}
PATIENCE = 120_000
"""Longest wait for the page, in milliseconds."""

SWITCHES = """() => {
    localStorage.setItem("autoAnnotation", "true");
    localStorage.setItem("autoAcceptSuggestions", "true");
}"""
"""Auto-Annotation and Auto-Accept, which an annotator switches on once per browser."""

REGIONS = """() => (window.Htx?.annotationStore?.selected?.serializeAnnotation() ?? [])
    .filter(each => each.type === "polygonlabels" || each.type === "brushlabels")"""
LINKS = """() => (window.Htx?.annotationStore?.selected?.serializeAnnotation() ?? [])
    .filter(each => each.type === "relation")"""
READY = """task => {
    const annotation = window.Htx?.annotationStore?.selected;
    const images = [...document.querySelectorAll("img")].filter(each => each.closest(".lsf-main-view, .main-view, body"));
    return annotation && window.Htx.task?.id !== task && annotation.regions.length > 0
        && images.filter(each => each.complete && each.naturalWidth > 1000).length >= MINIMUM;
}"""


@dataclass
class Hands:
    """Makes gestures on the page, and counts them."""

    page: Page
    num_actions: int = 0

    def key(self, key: str) -> None:
        self.num_actions += 1
        self.page.keyboard.press(key)

    def click(self, at: tuple[float, float], *held: str) -> None:
        self.num_actions += 1
        for key in held:
            self.page.keyboard.down(key)
        self.page.mouse.click(*at)
        for key in reversed(held):
            self.page.keyboard.up(key)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.num_actions += 1
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=6)
        self.page.mouse.up()


@dataclass
class Screen:
    """The labeling page of one project, in the label stream."""

    page: Page
    site: AnnotatorSite
    project: int
    num_images: int
    """Images on the page."""

    hands: Hands = field(init=False)

    def __post_init__(self) -> None:
        self.hands = Hands(self.page)

    def log_in(self) -> None:
        server = self.site.stack.label_studio
        self.page.goto(f"{server.url}/user/login/")
        self.page.fill("input[name=email]", server.email)
        self.page.fill("input[name=password]", server.password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda url: "/user/login" not in url, timeout=PATIENCE)
        self.page.evaluate(SWITCHES)

    def begin(self) -> float:
        """Enter the label stream; return the seconds until the first task is shown."""
        url = f"{self.site.stack.label_studio.url}/projects/{self.project}/data?labeling=1"
        began = time.perf_counter()
        self.page.goto(url, wait_until="domcontentloaded", timeout=PATIENCE)
        self.await_task(None)
        took = time.perf_counter() - began
        self.close_instructions()
        return took

    def close_instructions(self) -> None:
        """Close the page of instructions, which Label Studio shows once per visit."""
        dialog = self.page.locator(".lsf-modal-ls_visible")
        with suppress(TimeoutError_):
            dialog.first.wait_for(timeout=15_000 if self.num_images > 1 else 1_000)
            self.page.wait_for_timeout(500)
            self.page.mouse.click(30, 950)  # beside it
            dialog.first.wait_for(state="hidden", timeout=PATIENCE)

    @property
    def task(self) -> int:
        return int(self.page.evaluate("() => window.Htx.task.id"))

    def await_task(self, previous: int | None) -> None:
        condition = READY.replace("MINIMUM", str(self.num_images))
        self.page.wait_for_function(condition, arg=previous, timeout=PATIENCE)

    def regions(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate(REGIONS))

    def links(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate(LINKS))

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE / 1000
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError("the page does not show the result")
            self.page.wait_for_timeout(20)

    def place(self, view: str, x: float, y: float) -> tuple[float, float]:
        """Return the position on the screen of one in an image, in percent of its sides."""
        locator = self.page.locator(f".view-{view} img" if view != "image" else "img").first
        box = locator.bounding_box()
        assert box is not None
        return box["x"] + x / 100 * box["width"], box["y"] + y / 100 * box["height"]

    def middle(self, region: dict[str, Any]) -> tuple[float, float]:
        points = region["value"]["points"]
        xs, ys = zip(*points, strict=True)
        return self.place(region["to_name"], sum(xs) / len(xs), sum(ys) / len(ys))

    @contextmanager
    def job(self, measured: dict[str, list[tuple[float, int]]], name: str) -> Iterator[None]:
        """Measure what is done in a block."""
        before = self.hands.num_actions
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        measured.setdefault(name, []).append((took, self.hands.num_actions - before))


ACCEPT = "read and accept"
DELETE = "delete a false finding"
UNDO = "bring it back"
ADD = "add a missed one by click"
SHRINK = "shrink a finding by click"
VERTEX = "move a vertex"
LINK = "link two views"
JOBS = (ACCEPT, DELETE, UNDO, ADD, SHRINK, VERTEX, LINK)


def correct_exam(screen: Screen, measured: dict[str, list[tuple[float, int]]]) -> None:
    """Do every job but the last on the exam that is shown."""
    hands, page = screen.hands, screen.page
    number = len(screen.regions())
    largest = max(screen.regions(), key=lambda each: len(each["value"]["points"]))
    with screen.job(measured, DELETE):
        hands.click(screen.middle(largest))
        screen.until(lambda: selected(page))
        hands.key("Backspace")
        screen.until(lambda: len(screen.regions()) == number - 1)
    with screen.job(measured, UNDO):
        hands.key("Control+z")
        screen.until(lambda: len(screen.regions()) == number)
    hands.key("Escape")
    with screen.job(measured, VERTEX):
        hands.click(screen.middle(largest))
        screen.until(lambda: selected(page))
        at = screen.place(largest["to_name"], *largest["value"]["points"][0])
        hands.drag(at, (at[0] + 12, at[1] + 12))
        screen.until(
            lambda: largest["value"]["points"] not in [r["value"]["points"] for r in screen.regions()]
        )
    hands.key("Control+z")
    hands.key("Escape")
    links = len(screen.links())
    first, second = pair_to_link(screen.regions())
    with screen.job(measured, LINK):
        hands.click(screen.middle(first))
        screen.until(lambda: selected(page))
        hands.key("Alt+r")
        hands.click(screen.middle(second))
        screen.until(lambda: len(screen.links()) == links + 1)
    hands.key("Escape")


def pair_to_link(regions: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a region of CC and one of MLO of a breast."""
    for breast in ("L", "R"):
        views = [
            next((r for r in regions if r["to_name"] == f"{breast}{view}"), None) for view in ("CC", "MLO")
        ]
        if all(views):
            return views[0], views[1]  # type: ignore[return-value]
    raise LookupError("no breast has findings in both views")


def selected(page: Page) -> bool:
    return bool(
        page.evaluate(
            "() => (window.Htx?.annotationStore?.selected?.regions ?? []).some(each => each.inSelection || each.selected)"
        )
    )
