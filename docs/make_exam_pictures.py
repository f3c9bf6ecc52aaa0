"""Make the animation of the exam screen: `make pictures` runs this, too.

`exam.webp` shows what an annotator does on the page. The gestures are those of
the scripted annotator of `benchmarks/annotator.py`, in a real Label Studio.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import ViewportSize, sync_playwright

from benchmarks.annotator import Screen, area, centre, choose_smart_points, pair_to_link, selected
from benchmarks.annotator_site import annotator_site

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs/pictures"
WINDOW: ViewportSize = {"width": 1600, "height": 760}
WIDTH = 1120
"""Of the animation, in pixels."""

SECONDS = 5.0
"""How long each picture of the animation is shown."""

QUALITY = 55

ASIDE = (5.0, 5.0)
"""A place of the page where the pointer is over nothing."""


def main() -> None:
    """Write `exam.webp`."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory(prefix="yolo-mlsam-exam-", ignore_cleanup_errors=True) as folder,
        annotator_site(Path(folder), num_exams=2) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        screen = Screen(browser.new_page(viewport=WINDOW), site, site.exams.project, 4)
        screen.log_in()
        screen.begin()
        choose_smart_points(screen)
        frames = Frames(screen)
        work(screen, frames)
        browser.close()
    frames.save()


class Frames:
    """Pictures of the page, each with a sentence below it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._frames: list[Image.Image] = []

    def take(self, sentence: str, *, pointer: tuple[float, float] = ASIDE) -> None:
        """Add a picture.

        Args:
            pointer: where the mouse rests; tools slide out below it.
        """
        self._screen.page.mouse.move(*pointer)
        self._screen.page.wait_for_timeout(700)
        shot = Image.open(io.BytesIO(self._screen.page.screenshot())).convert("RGB")
        height = round(shot.height * WIDTH / shot.width)
        frame = Image.new("RGB", (WIDTH, height + 44), "#fff6d6")
        frame.paste(shot.resize((WIDTH, height), Image.Resampling.LANCZOS))
        fonts = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"
        draw = ImageDraw.Draw(frame)
        draw.text((16, height + 10), sentence, fill="#1c1c1c", font=ImageFont.truetype(str(fonts), 19))
        self._frames.append(frame)

    def change(self, region: dict[str, Any], at: tuple[float, float], *held: str) -> None:
        """Let the model change an outline by a click."""
        screen, before = self._screen, self._screen.region(region["id"])["value"]
        screen.hands.key("Escape")
        screen.hands.key("1")
        screen.hands.click(at, *held)
        screen.until(lambda: screen.region(region["id"])["value"] != before)

    def zoom(self) -> None:
        """Zoom in on the largest finding of a right breast with the wheel."""
        right = [each for each in self._screen.regions() if each["to_name"].startswith("R")]
        page, at = self._screen.page, self._screen.middle(max(right, key=area))
        page.mouse.move(*at)
        page.keyboard.down("Control")
        for _ in range(6):
            page.mouse.wheel(0, -120)
            page.wait_for_timeout(200)
        page.keyboard.up("Control")
        self.take("Ctrl + wheel zooms the view below the pointer; the others stay as they are.", pointer=at)

    def save(self) -> None:
        first, *others = self._frames
        path = PICTURES / "exam.webp"
        first.save(
            path, save_all=True, append_images=others, duration=round(SECONDS * 1000), loop=0, quality=QUALITY
        )
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def work(screen: Screen, frames: Frames) -> None:
    """Read one exam with every gesture of the page, and submit it."""
    look(screen, frames)
    correct(screen, frames)
    describe(screen, frames)
    frames.zoom()
    task = screen.task
    screen.hands.key("Control+Enter")
    screen.await_task(task)
    frames.take("Ctrl + Enter submits what you see, and opens the next exam.")


def look(screen: Screen, frames: Frames) -> None:
    """Change how the exam is shown."""
    hands = screen.hands
    frames.take("Four views of one woman. The model has outlined what it takes for clusters.")
    hands.key("7")
    frames.take("7 enlarges both MLO views, 6 both CC views …")
    hands.key("9")
    frames.take("… 8 the right breast, 9 the left one. 5 shows all four views again.")
    hands.key("5")
    for key, sentence in (
        ("i", "I inverts the images; I again goes back."),
        ("u", "U raises the contrast; U again goes back."),
    ):
        hands.key(key)
        frames.take(sentence)
        hands.key(key)


def correct(screen: Screen, frames: Frames) -> None:
    """Delete a finding, ask for it again, change another, and draw one by hand."""
    hands = screen.hands
    false, *_ = sorted(screen.regions(), key=lambda each: each["score"])
    at, number = screen.middle(false), len(screen.regions())
    hands.click(at)
    screen.until(lambda: selected(screen.page))
    frames.take("Click an outline: the panel says how likely it is, its size, and how many specks it has.")
    hands.key("Backspace")
    screen.until(lambda: len(screen.regions()) == number - 1)
    frames.take("Not a finding? Backspace deletes it. No other finding changes.")
    hands.key("Control+z")
    screen.until(lambda: len(screen.regions()) == number)
    hands.key("Escape")
    frames.take("Ctrl + Z brings it back.")
    hands.click(at)
    screen.until(lambda: selected(screen.page))
    hands.key("Backspace")
    screen.until(lambda: len(screen.regions()) == number - 1)
    hands.key("1")
    hands.click(at)
    screen.until(lambda: len(screen.regions()) == number)
    frames.take("Missed one? Press 1 and click a bright speck: the model outlines the cluster.")
    hands.key("Escape")
    largest = max(screen.regions(), key=lambda each: len(each["value"]["points"]))
    x, y = centre(largest)
    edge = max(largest["value"]["points"], key=lambda each: abs(each[0] - x) + abs(each[1] - y))
    toward = (edge[0] - x, edge[1] - y)
    inside = screen.place(largest["to_name"], x + 0.7 * toward[0], y + 0.7 * toward[1])
    frames.change(largest, inside, "Control", "Alt")
    frames.take("Too large? 1, then Ctrl + Alt + click what does not belong to it.")
    beside = screen.place(largest["to_name"], x + 1.15 * toward[0], y + 1.15 * toward[1])
    frames.change(largest, beside)
    frames.take("Too small? 1, then click what is missing beside it.")
    hands.key("Escape")
    changed = screen.region(largest["id"])
    hands.click(screen.middle(changed))
    screen.until(lambda: selected(screen.page))
    corner = screen.place(changed["to_name"], *changed["value"]["points"][0])
    hands.drag(corner, (corner[0] + 4, corner[1] - 4))
    frames.take("An edge is wrong? Click the outline, and drag its corners.")
    hands.key("Escape")


def describe(screen: Screen, frames: Frames) -> None:
    """Choose words for a finding and for the exam, and link two findings."""
    hands = screen.hands
    pair = pair_to_link(screen.regions(), screen.links())
    assert pair is not None, "the first exam has no findings that can be linked; take another seed"
    one, other = pair
    hands.click(screen.middle(one))
    screen.until(lambda: selected(screen.page))
    hands.key("Shift+P")
    hands.key("g")
    frames.take("A finding that is selected gets the words whose keys you press, here ⇧P and G.")
    links = len(screen.links())
    hands.key("Alt+r")
    hands.click(screen.middle(other))
    screen.until(lambda: len(screen.links()) != links)
    frames.take("The same lesion in two views? Click one, Alt + R, click the other.")
    hands.key("Escape")
    hands.key("Shift+Y")
    hands.key("Shift+Digit4")
    frames.take("The last line is about the exam: density ⇧Y, BI-RADS assessment ⇧4.")


if __name__ == "__main__":
    main()
