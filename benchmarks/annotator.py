"""A scripted annotator in a real Label Studio and Chromium: what each gesture costs, in actions and seconds.

    python -m benchmarks.annotator --exams 6 --shots /tmp/shots

An action is a click, a drag, or a key (with its modifiers). Seconds are from the first action until the page shows the
result; the machine's own, since a script does not think. A job is done on several exams; the median is reported.
The first task is opened several times, each in a browser that was never used; the first time after Label Studio's start
stands apart, because the server then loads its own modules.
"""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.sync_api import Page, ViewportSize, sync_playwright
from playwright.sync_api import TimeoutError as TimeoutError_

from benchmarks.annotator_site import AnnotatorSite, annotator_site
from benchmarks.browser_memory import chromium_bytes
from benchmarks.result import Result

EXAMS = 6
OPENINGS = 6
"""Number of browsers that open the first task of each project."""

WINDOW: ViewportSize = {"width": 1920, "height": 1080}
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
OFFSET = "view => window.Htx.annotationStore.selected.names.get(view).alignmentOffset.x"
SELECTED = """() => (window.Htx?.annotationStore?.selected?.regions ?? [])
    .some(each => each.inSelection || each.selected)"""
READY = """task => {
    const annotation = window.Htx?.annotationStore?.selected;
    const images = [...document.querySelectorAll("img")];
    return annotation && window.Htx.task?.id !== task && annotation.regions.length >= REGIONS
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

    num_regions: int = 1
    """Regions that a task shows at least; 0 where the model may have found nothing."""

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
        condition = READY.replace("MINIMUM", str(self.num_images)).replace("REGIONS", str(self.num_regions))
        self.page.wait_for_function(condition, arg=previous, timeout=PATIENCE)

    def regions(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate(REGIONS))

    def region(self, name: str) -> dict[str, Any]:
        return next(each for each in self.regions() if each["id"] == name)

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
        # An image that is as high as it may be is narrower than its canvas, and drawn at one side of it.
        offset = self.page.evaluate(OFFSET, view)
        return box["x"] + offset + x / 100 * box["width"], box["y"] + y / 100 * box["height"]

    def middle(self, region: dict[str, Any]) -> tuple[float, float]:
        return self.place(region["to_name"], *centre(region))

    @contextmanager
    def job(self, measured: Measured, name: str) -> Iterator[None]:
        """Measure what is done in a block."""
        before = self.hands.num_actions
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        measured.setdefault(name, []).append((took, self.hands.num_actions - before))


ACCEPT = "read and accept four views"
DELETE = "delete a false finding"
UNDO = "bring it back"
ADD = "add a missed one by click"
SHRINK = "shrink a finding by click"
VERTEX = "move a vertex"
LINK = "link two views"
JOBS = (ACCEPT, DELETE, UNDO, ADD, SHRINK, VERTEX, LINK)

Measured = dict[str, list[tuple[float, int]]]
"""Seconds and number of actions of each time a job was done."""


def correct_exam(screen: Screen, measured: Measured) -> None:
    """Do every job but the first on the exam that is shown; one that it does not allow is left out."""
    if not screen.regions():
        return
    hands = screen.hands
    add_by_click(screen, measured)
    shrink_by_click(screen, measured)
    largest = max(screen.regions(), key=area)
    number = len(screen.regions())
    with screen.job(measured, VERTEX):
        hands.click(screen.middle(largest))
        screen.until(lambda: selected(screen.page))
        at = screen.place(largest["to_name"], *largest["value"]["points"][0])
        hands.drag(at, (at[0] + 12, at[1] + 12))
        screen.until(lambda: screen.region(largest["id"])["value"] != largest["value"])
    hands.key("Escape")
    with screen.job(measured, DELETE):
        hands.click(screen.middle(largest))
        screen.until(lambda: selected(screen.page))
        hands.key("Backspace")
        screen.until(lambda: len(screen.regions()) == number - 1)
    with screen.job(measured, UNDO):
        hands.key("Control+z")
        screen.until(lambda: len(screen.regions()) == number)
    hands.key("Escape")
    links = screen.links()
    pair = pair_to_link(screen.regions(), links)
    if pair is None:
        return
    first, second = pair
    with screen.job(measured, LINK):
        hands.click(screen.middle(first))
        screen.until(lambda: selected(screen.page))
        hands.key("Alt+r")
        hands.click(screen.middle(second))
        screen.until(lambda: len(screen.links()) == len(links) + 1)
    hands.key("Escape")


def choose_smart_points(screen: Screen) -> None:
    """Choose the smart point tool of every view, as an annotator does once per browser; again, it chooses boxes."""
    screen.hands.key("Escape")
    for group in screen.page.locator(".lsf-toolbar").all():
        group.locator(".lsf-toolbar__group").last.click()
        screen.page.wait_for_timeout(200)


def add_by_click(screen: Screen, measured: Measured) -> None:
    """Delete a finding, and ask for it again by a click in its middle."""
    hands = screen.hands
    region = min(screen.regions(), key=area)
    at = screen.middle(region)
    hands.click(at)
    screen.until(lambda: selected(screen.page))
    hands.key("Backspace")
    number = len(screen.regions())
    with screen.job(measured, ADD):
        hands.key("1")
        hands.click(at)
        screen.until(lambda: len(screen.regions()) == number + 1)
    hands.key("Escape")


def shrink_by_click(screen: Screen, measured: Measured) -> None:
    """Take away the part of the largest finding around one of its outermost vertices."""
    hands = screen.hands
    region = max(screen.regions(), key=area)
    (x, y), edge = centre(region), max(region["value"]["points"], key=lambda p: distance(p, centre(region)))
    inside = (x + 0.7 * (edge[0] - x), y + 0.7 * (edge[1] - y))
    with screen.job(measured, SHRINK):
        hands.key("1")
        hands.click(screen.place(region["to_name"], *inside), "Control", "Alt")
        screen.until(lambda: area(screen.region(region["id"])) < area(region))
    hands.key("Escape")


def accept(screen: Screen, measured: Measured, *, times: int) -> None:
    """Submit as many tasks as four views need, each time waiting for the next."""
    with screen.job(measured, ACCEPT):
        for _ in range(times):
            task = screen.task
            screen.hands.key("Control+Enter")
            screen.await_task(task)


def area(region: dict[str, Any]) -> float:
    """Return the area of a polygon, in square percent of the image (shoelace formula)."""
    points = region["value"]["points"]
    turned = [*points[1:], points[0]]
    return float(abs(sum(x * v - u * y for (x, y), (u, v) in zip(points, turned, strict=True)))) / 2


def centre(region: dict[str, Any]) -> tuple[float, float]:
    xs, ys = zip(*region["value"]["points"], strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    return math.dist(one, other)


def pair_to_link(
    regions: list[dict[str, Any]], links: list[dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return a region of CC and one of MLO of a breast that are not linked; None if there are none."""
    linked = {frozenset((link["from_id"], link["to_id"])) for link in links}
    for one, other in itertools.combinations(sorted(regions, key=lambda region: str(region["to_name"])), 2):
        views = one["to_name"], other["to_name"]
        if views in (("LCC", "LMLO"), ("RCC", "RMLO")) and {one["id"], other["id"]} not in linked:
            return one, other
    return None


def selected(page: Page) -> bool:
    return bool(page.evaluate(SELECTED))


def run(*, exams: int = EXAMS, shots: Path | None = None) -> Result:
    """Do every job on some exams, and accept others; the same views as one-image tasks beside it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    measured: dict[str, Measured] = {"exam": {}, "image": {}}
    opened: dict[str, list[float]] = {"exam": [], "image": []}
    memory: dict[str, tuple[float, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="yolo-mlsam-annotator-", ignore_cleanup_errors=True) as folder,
        annotator_site(Path(folder), num_exams=exams) as site,
        sync_playwright() as playwright,
    ):
        for name, project, views in (("exam", site.exams, 4), ("image", site.images, 1)):
            for opening in range(OPENINGS):
                browser = playwright.chromium.launch(
                    executable_path=program, args=["--no-sandbox", "--disable-gpu"]
                )
                page = browser.new_page(viewport=WINDOW)
                screen = Screen(page, site, project.project, views, num_regions=0)
                screen.log_in()
                empty = chromium_bytes()
                opened[name].append(screen.begin())
                if opening < OPENINGS - 1:
                    browser.close()
            first = chromium_bytes() - empty
            if name == "exam":
                choose_smart_points(screen)
            for number in range(exams - 1):
                if name == "exam" and number % 2 == 0:
                    correct_exam(screen, measured[name])
                if shots is not None:
                    screen.page.screenshot(path=shots / f"annotator-{name}-{number}.png")
                accept(screen, measured[name], times=4 // views)
            memory[name] = (first, chromium_bytes() - empty)
            browser.close()
    return _table(measured, opened, memory)


def _table(
    measured: dict[str, Measured], opened: dict[str, list[float]], memory: dict[str, tuple[float, float]]
) -> Result:
    def cell(screen: str, job: str) -> str:
        times = measured[screen].get(job)
        if not times:
            return ""
        seconds, actions = (statistics.median(column) for column in zip(*times, strict=True))
        return f"{seconds:.1f} s, {actions:g} actions"

    rows: list[tuple[str, ...]] = [(job, cell("exam", job), cell("image", job)) for job in JOBS]
    after_start, *later = opened["exam"]
    rows.append(("open the first task after Label Studio's start", f"{after_start:.1f} s", ""))
    rows.append(
        (
            "open the first task in another new browser",
            _median_and_range(later),
            _median_and_range(opened["image"]),
        )
    )
    memories = (f"{first / 2**30:.2f} / {last / 2**30:.2f} GiB" for first, last in memory.values())
    rows.append(("memory of the browser, first and last task", *memories))
    return Result(
        title="A scripted annotator",
        method=(
            f"Median of {len(measured['exam'][ACCEPT])} exams of four phantoms, Label Studio and Chromium on this "
            f"machine, window {WINDOW['width']} x {WINDOW['height']}. Seconds from the first action to its result."
        ),
        columns=("job", "exam of four views", "four one-image tasks"),
        rows=rows,
    )


def _median_and_range(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"


def main(
    exams: Annotated[int, typer.Option(min=2, help="Exams; the last one is only opened.")] = EXAMS,
    shots: Annotated[
        Path | None, typer.Option(help="Folder for screenshots.", file_okay=False, exists=True)
    ] = None,
) -> None:
    """Measure what an annotator's gestures cost."""
    typer.echo(run(exams=exams, shots=shots).markdown())


if __name__ == "__main__":
    typer.run(main)
