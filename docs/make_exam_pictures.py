"""Make the animation of the exam screen: `make pictures` runs this, too.

`exam.webp` shows what an annotator does on the page. The gestures are those of
the scripted annotator of `benchmarks/annotator.py`, in a real Label Studio.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import ViewportSize, sync_playwright

from benchmarks.annotator import Screen, arm_smart_tools, centre, pair_to_link, selected
from benchmarks.annotator_site import annotator_site

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs/pictures"
WINDOW: ViewportSize = {"width": 1600, "height": 760}
WIDTH = 1120
"""Of the animation, in pixels."""

SECONDS = 5.0
"""How long each picture of the animation is shown."""

QUALITY = 55


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
        arm_smart_tools(screen)
        frames = Frames(screen)
        work(screen, frames)
        browser.close()
    frames.save()


class Frames:
    """Pictures of the page, each with a sentence below it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._frames: list[Image.Image] = []

    def take(self, sentence: str) -> None:
        self._screen.page.wait_for_timeout(700)
        shot = Image.open(io.BytesIO(self._screen.page.screenshot())).convert("RGB")
        height = round(shot.height * WIDTH / shot.width)
        frame = Image.new("RGB", (WIDTH, height + 44), "#fff6d6")
        frame.paste(shot.resize((WIDTH, height), Image.Resampling.LANCZOS))
        fonts = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"
        draw = ImageDraw.Draw(frame)
        draw.text((16, height + 10), sentence, fill="#1c1c1c", font=ImageFont.truetype(str(fonts), 19))
        self._frames.append(frame)

    def save(self) -> None:
        first, *others = self._frames
        path = PICTURES / "exam.webp"
        first.save(
            path, save_all=True, append_images=others, duration=round(SECONDS * 1000), loop=0, quality=QUALITY
        )
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def work(screen: Screen, frames: Frames) -> None:
    """Read one exam: delete, add, shrink, describe, link, and submit."""
    hands = screen.hands
    frames.take("Four views of one woman. The model has outlined what it takes for clusters.")
    hands.key("7")
    frames.take("7 enlarges both MLO views; 5 shows all four again.")
    hands.key("5")
    hands.key("i")
    frames.take("I inverts the images; I again goes back.")
    hands.key("i")
    false, *_ = sorted(screen.regions(), key=lambda each: each["score"])
    at, number = screen.middle(false), len(screen.regions())
    hands.click(at)
    screen.until(lambda: selected(screen.page))
    frames.take("Not a finding? Click its outline …")
    hands.key("Backspace")
    screen.until(lambda: len(screen.regions()) == number - 1)
    frames.take("… and press Backspace. No other finding changes.")
    hands.key("1")
    hands.click(at)
    screen.until(lambda: len(screen.regions()) == number)
    frames.take("Missed one? Press 1 and click a bright speck: the model outlines the cluster.")
    hands.key("Escape")
    largest = max(screen.regions(), key=lambda each: len(each["value"]["points"]))
    x, y = centre(largest)
    edge = max(largest["value"]["points"], key=lambda each: abs(each[0] - x) + abs(each[1] - y))
    before = largest["value"]["points"]
    hands.key("1")
    inside = screen.place(largest["to_name"], x + 0.7 * (edge[0] - x), y + 0.7 * (edge[1] - y))
    hands.click(inside, "Control", "Alt")
    screen.until(lambda: screen.region(largest["id"])["value"]["points"] != before)
    frames.take("Too large? 1, then Ctrl + Alt + click what does not belong to it.")
    hands.key("Escape")
    one, other = pair_to_link(screen.regions())
    hands.click(screen.middle(one))
    screen.until(lambda: selected(screen.page))
    frames.take("A click on a finding asks for its morphology and distribution, below the images.")
    links = len(screen.links())
    hands.key("Alt+r")
    hands.click(screen.middle(other))
    screen.until(lambda: len(screen.links()) != links)
    frames.take("The same lesion in two views? Click one, Alt + R, click the other.")
    hands.key("Escape")
    task = screen.task
    hands.key("Control+Enter")
    screen.await_task(task)
    frames.take("Ctrl + Enter submits what you see, and opens the next exam.")


if __name__ == "__main__":
    main()
