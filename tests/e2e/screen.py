"""What an annotator has before him: the labeling page in a real Chromium, and its pixels mapped back to the image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from cli.demo.label_studio_server import LabelStudioServer
from mammo.geometry import Box, Point, Size
from mammo.labelstudio import LabelStudioClient
from tests.e2e.conftest import ARTIFACTS

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator, Page

BRUSH = np.array([0x2E, 0x57, 0xE4], np.float32)
"""Colour of the brush in the labeling config; blue, green, red."""

OPACITY = 0.6
"""Of a brush region; Label Studio has no setting for it."""

PATIENCE = 120_000
"""Longest wait for the page, in milliseconds: the machine may be busy."""

_FOCUSED = "() => document.activeElement?.type ?? null"

_PLACE = """() => {
    const areas = [...document.querySelectorAll("img")].map(image => [image, image.getBoundingClientRect()]);
    const [image, whole] = areas.sort((a, b) => b[1].width * b[1].height - a[1].width * a[1].height)[0];
    let [left, top, right, bottom] = [whole.left, whole.top, whole.right, whole.bottom];
    for (let each = image.parentElement; each; each = each.parentElement) {
        if (getComputedStyle(each).overflow === "visible") continue;
        const clip = each.getBoundingClientRect();
        [left, top] = [Math.max(left, clip.left), Math.max(top, clip.top)];
        [right, bottom] = [Math.min(right, clip.right), Math.min(bottom, clip.bottom)];
    }
    return [whole.x, whole.y, whole.width, left, top, right, bottom];
}"""
"""Where the whole image lies, and which part of it is not cut off."""

_REGIONS = "() => (window.Htx?.annotationStore?.selected?.regions ?? []).map(region => region.type)"
"""The kinds of the annotation's regions."""


def forget_drafts(page: Page, client: LabelStudioClient, task: int) -> None:
    """Leave the page, and delete what Label Studio kept of what was done on a task and not submitted."""
    page.goto("about:blank")
    for draft in client.drafts(task):
        client.call("DELETE", f"/api/drafts/{draft['id']}/")


def box_at_rest(shown: Locator) -> FloatRect:
    """Return where something is shown, once a busy machine has laid the page out."""
    before = None
    while (box := shown.bounding_box()) is None or box != before:
        before = box
        shown.page.wait_for_timeout(400)
    return box


def leave_switch(page: Page) -> None:
    """Click an empty place of the bar below the image: a switch that was clicked keeps the focus, and so the keys."""
    assert page.evaluate(_FOCUSED) == "checkbox", "what annotators are told to do is not needed any more"
    bar = box_at_rest(page.locator(".lsf-bottombar"))
    page.mouse.click(bar["x"] + 0.75 * bar["width"], bar["y"] + bar["height"] / 2)
    assert page.evaluate(_FOCUSED) is None


@dataclass(frozen=True)
class View:
    """Where the whole image lies on the screen; most of it may be outside the window."""

    x: float
    y: float
    scale: float
    """Screen pixels of one image pixel."""

    window: Box
    """The part of the screen that shows the image and nothing above it."""

    def on_screen(self, point: Point) -> tuple[float, float]:
        """Middle of an image pixel, in pixels of the screen."""
        return self.x + (point.x + 0.5) * self.scale, self.y + (point.y + 0.5) * self.scale

    def visible(self, size: Size) -> Box:
        """Image pixels whose middle is in the window."""
        left, top = (self.window.x0 - self.x) / self.scale, (self.window.y0 - self.y) / self.scale
        right, bottom = (self.window.x1 - self.x) / self.scale, (self.window.y1 - self.y) / self.scale
        return Box(int(left) + 1, int(top) + 1, int(right) - 1, int(bottom) - 1).within(size)

    def sample(self, shot: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """What the screen shows at the middle of every image pixel of a box."""
        columns = np.floor(self.x + (np.arange(box.x0, box.x1) + 0.5) * self.scale).astype(int)
        rows = np.floor(self.y + (np.arange(box.y0, box.y1) + 0.5) * self.scale).astype(int)
        return shot[np.ix_(rows, columns)]


@dataclass
class Screen:
    """One task on the labeling page."""

    page: Page
    size: Size
    asked: list[list[dict[str, Any]]] = field(default_factory=list)
    """Context of every smart call, oldest first."""

    answered: list[list[dict[str, Any]]] = field(default_factory=list)
    """Result of every smart call."""

    def log_in(self, server: LabelStudioServer) -> None:
        self.page.goto(f"{server.url}/user/login/")
        self.page.fill("input[name=email]", server.email)
        self.page.fill("input[name=password]", server.password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda url: "/user/login" not in url, timeout=PATIENCE)

    def open(self, server: LabelStudioServer, project: int, task: int) -> None:
        """Wait until the task's regions are listed and its image fills the page."""
        address = f"{server.url}/projects/{project}/data?task={task}"
        self.page.goto(address, wait_until="domcontentloaded", timeout=PATIENCE)
        self.page.wait_for_function(f"({_REGIONS})().length > 0", timeout=PATIENCE)
        self.page.wait_for_function(f"({_PLACE})()[2] > 300", timeout=PATIENCE)

    def view(self) -> View:
        x, y, width, left, top, right, bottom = self.page.evaluate(_PLACE)
        return View(x, y, width / self.size.width, Box.around(left, top, min(right, self._toolbar()), bottom))

    def _toolbar(self) -> float:
        """Left edge of the tools and of the sliders that open beside them."""
        box = self.page.locator(".lsf-toolbar").bounding_box()
        assert box is not None
        return float(box["x"]) - 60

    def zoom_in(self, at: Point, *, scale: float) -> View:
        """As a person does: Ctrl and the wheel, over the spot."""
        self.page.keyboard.press("Shift+Digit1")
        self._settle()
        view = self.view()
        self.page.mouse.move(*view.on_screen(at))
        self.page.keyboard.down("Control")
        for _ in range(60):
            if view.scale >= scale:
                break
            self.page.mouse.wheel(0, -120)
            self._settle(100)
            view = self.view()
        self.page.keyboard.up("Control")
        self._settle(600)
        view = self.view()
        assert view.scale >= scale, f"the wheel zooms to {view.scale:.1f} only"
        return view

    def shot(self, name: str) -> npt.NDArray[np.float32]:
        """A screenshot, kept for people, the pointer out of the way."""
        self.page.mouse.move(5, 5)
        self._settle(700)
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        self.page.screenshot(path=path, timeout=PATIENCE)
        return cv2.imread(str(path)).astype(np.float32)

    @contextmanager
    def hidden_regions(self) -> Iterator[None]:
        self.page.keyboard.press("Control+h")
        yield
        self.page.keyboard.press("Control+h")

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self._settle(200)

    def take(self, key: str) -> None:
        """Take up the label of a prompt; it is put down again after each."""
        self.press(key)
        label = self.page.locator(".lsf-label").nth(int(key) - 1)
        assert "selected" in (label.get_attribute("class") or ""), f"{key} takes up no label"

    def choose_smart_tool(self, name: str) -> None:
        """Hover over the last tool and take one of those that slide out."""
        self.page.locator(".lsf-toolbar__group").last.hover()
        self.page.locator(f".lsf-toolbar__smart [aria-label={name}]").click()
        self._settle(200)

    def ask(self, gesture: Any, *, waits: bool = True) -> dict[str, Any]:
        """Make a gesture with a smart tool and wait for the model's region; False: it is accepted by itself."""
        with self.page.expect_response(
            lambda r: "interactive-annotating" in r.url, timeout=PATIENCE
        ) as found:
            gesture()
        answer = found.value
        self.asked.append(json.loads(answer.request.post_data or "")["context"]["result"])
        self.answered.append(answer.json()["data"]["result"])
        region, *_ = self.answered[-1]
        if waits:
            self.page.get_by_test_id("bottombar-accept-suggestions-button").wait_for(timeout=PATIENCE)
        else:
            self._settle(1000)
        return dict(region)

    def accept(self) -> None:
        button = self.page.get_by_test_id("bottombar-accept-suggestions-button")
        button.click()
        button.wait_for(state="hidden", timeout=PATIENCE)
        self._settle()

    def click(self, at: Point, *, negative: bool = False) -> None:
        """With Ctrl, since else a click in a region chooses that region."""
        held = ["Control", "Alt"] if negative else ["Control"]
        for key in held:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.view().on_screen(at))
        for key in held:
            self.page.keyboard.up(key)

    def drag(self, box: Box) -> None:
        """From corner to corner, with Ctrl as in `click`."""
        view = self.view()
        self.page.keyboard.down("Control")
        self.page.mouse.move(*view.on_screen(Point(box.x0, box.y0)))
        self.page.mouse.down()
        self.page.mouse.move(*view.on_screen(Point(box.x1, box.y1)), steps=8)
        self.page.mouse.up()
        self.page.keyboard.up("Control")

    def count(self, kind: str) -> int:
        """Regions of a kind in the annotation, listed or scrolled away: `brush`, `polygon`, `rectangle`, `keypoint`."""
        return int(self.page.evaluate(_REGIONS).count(f"{kind}region"))

    def _settle(self, milliseconds: int = 400) -> None:
        self.page.wait_for_timeout(milliseconds)


def brushed(shown: npt.NDArray[Any], bare: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Where the brush lies over the bare picture, and where something else does; both bool.

    A brush region is composed as `shown = (1 - opacity) bare + opacity colour`; two of them, twice.
    """
    once = (1 - OPACITY) * bare + OPACITY * BRUSH
    twice = (1 - OPACITY) * once + OPACITY * BRUSH
    near = [np.abs(shown - other).max(axis=-1) <= 12 for other in (bare, once, twice)]
    brush = (near[1] | near[2]) & ~near[0]
    return brush, ~(brush | near[0])
