"""Make the pictures of README and docs: `make pictures`. It has the same requirements as the browser tests.

It starts Label Studio, backend and worker with two phantoms, and Chromium opens the labeling page. If `make demo` has
written `demo-report.png`, that becomes the before/after picture.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Locator, sync_playwright

from cli.demo.processes import Processes
from cli.demo.stack import Stack, finish_stack, launch_stack
from cli.demo.walk import Walk
from mammo.dicom import write_mammogram
from mammo.exchange.importing import import_mammogram
from mammo.geometry import Point, Size
from mammo.labelstudio.interpretation import from_regions
from mammo.phantom import phantom_view, vendor_a
from tests.e2e.screen import Screen

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs/pictures"
SIZE = Size(1664, 2048)
SEEDS = (421, 422)
"""The first task is shown as a whole, the second with one finding selected."""

WINDOW = {"width": 1500, "height": 1000}
DATA_MANAGER = 240
"""Width in pixels of the task list at the left of the labeling page, which is cropped."""

COLOURS = 160
"""Palette size, with which a screenshot stays below 300 kB."""

REPORT = ROOT / "demo-report.png"
"""Report written by `make demo`."""

REPORT_WIDTH = 990


def main() -> None:
    """Write `labeling.png`, `prelabel.png` (with notes), `finding.png` and, from a report, `before-after.png`."""
    PICTURES.mkdir(exist_ok=True)
    if REPORT.is_file():
        report = Image.open(REPORT).convert("RGB")
        height = round(report.height * REPORT_WIDTH / report.width)
        save(report.resize((REPORT_WIDTH, height), Image.Resampling.LANCZOS), "before-after")
    with (
        tempfile.TemporaryDirectory(prefix="yolo-mlsam-pictures-", ignore_cleanup_errors=True) as folder,
        Processes(Path(folder) / "logs") as processes,
        launch_stack(
            processes,
            Path(folder),
            label_studio=ROOT / ".venv-label-studio/bin/label-studio",
            port=0,
            recipe="smoke",
            patient_secret="phantoms of the pictures",
        ) as stack,
    ):
        finish_stack(stack)
        photograph(stack)


def photograph(stack: Stack) -> None:
    """Open both tasks like an annotator, and take the pictures."""
    walk = Walk(stack)
    walk.create_project()
    whole, single = import_phantoms(walk)
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        screen = Screen(browser.new_page(viewport=WINDOW), SIZE)
        screen.log_in(stack.label_studio)
        screen.open(stack.label_studio, walk.project, whole)
        shot = take(screen, "labeling")
        annotate(screen, shot, walk, whole)
        screen.open(stack.label_studio, walk.project, single)
        inside = middle_of_best(walk, single)
        view = screen.zoom_in(inside, scale=1.5)
        screen.page.mouse.click(*view.on_screen(inside))
        take(screen, "finding")
        browser.close()


def import_phantoms(walk: Walk) -> list[int]:
    """Import two mammograms with three clusters each; return their tasks in the order of the seeds."""
    root, files = walk.stack.settings.mammogram_root, walk.stack.label_studio.files
    assert root is not None
    described = []
    for seed in SEEDS:
        drawn = phantom_view(seed, clusters=3, appearance=vendor_a(), width=SIZE.width, height=SIZE.height)
        file = root / f"phantom-{seed}.dcm"
        write_mammogram(
            file,
            drawn.stored,
            laterality="L",
            view="CC",
            spacing_mm=drawn.spacing_mm,
            bits=drawn.bits,
            patient_id=f"PHANTOM-{seed}",
            entropy=f"picture {seed}",
        )
        described.append(import_mammogram(file, root=root, files=files, patient_secret=b"pictures"))
    walk.client.import_tasks(walk.project, described)
    tasks = {task["data"]["sha256"]: task["id"] for task in walk.client.tasks(walk.project)}
    return [tasks[each["sha256"]] for each in described]


def middle_of_best(walk: Walk, task: int) -> Point:
    """Return a pixel near the middle of the finding with the highest score."""
    findings = from_regions(walk.client.predictions(task)[0]["result"], tags=walk.tags)
    mask = max(findings, key=lambda finding: finding.score).mask
    assert mask is not None
    rows, columns = np.nonzero(mask.bitmap)
    nearest = int(np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean())))
    return Point(int(columns[nearest]) + mask.x0, int(rows[nearest]) + mask.y0)


def take(screen: Screen, name: str) -> Image.Image:
    """Save the labeling page without the task list; return it in full colours."""
    blue_green_red = screen.shot(name).astype(np.uint8)
    shot = Image.fromarray(blue_green_red[:, DATA_MANAGER:, ::-1].copy())
    save(shot, name)
    return shot


def annotate(screen: Screen, shot: Image.Image, walk: Walk, task: int) -> None:
    """Save the labeling page with notes beside its main elements."""
    findings = from_regions(walk.client.predictions(task)[0]["result"], tags=walk.tags)
    mask = max(findings, key=lambda finding: finding.score).mask
    assert mask is not None
    rows, columns = np.nonzero(mask.bitmap)
    upper_right = int(np.argmax(columns - rows))
    pixel = Point(int(columns[upper_right]) + mask.x0, int(rows[upper_right]) + mask.y0)
    outline = screen.view().on_screen(pixel)
    score = spot(screen.page.get_by_text("Cluster", exact=True).last, across=0.5, down=1.2)
    ask = spot(screen.page.get_by_text("Click", exact=True).first, across=2.2, down=0.5)
    submit = spot(screen.page.get_by_role("button", name="Submit").first, across=0.03, down=0.5)
    notes = [
        (outline, (560, 150), "The model outlined this cluster.\nDrag its corners, or delete it."),
        (score, (975, 890), "One region per finding,\nwith the model's score"),
        (ask, (150, 150), "Click a spot: the model\noutlines what is there."),
        (submit, (480, 900), "What you submit\nis what it learns."),
    ]
    picture = shot.copy()
    draw = ImageDraw.Draw(picture)
    fonts = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"
    font = ImageFont.truetype(str(fonts), 17)
    for (x, y), (left, top), text in notes:
        area = draw.multiline_textbbox((left, top), text, font=font, spacing=5)
        middle = ((area[0] + area[2]) / 2, (area[1] + area[3]) / 2)
        draw.line([middle, (x - DATA_MANAGER, y)], fill="#f5b400", width=3)
        draw.ellipse([x - DATA_MANAGER - 6, y - 6, x - DATA_MANAGER + 6, y + 6], fill="#f5b400")
        frame = [area[0] - 10, area[1] - 8, area[2] + 10, area[3] + 9]
        draw.rounded_rectangle(frame, 8, fill="#fff6d6", outline="#f5b400", width=2)
        draw.multiline_text((left, top), text, fill="#1c1c1c", font=font, spacing=5)
    save(picture, "prelabel")


def spot(element: Locator, *, across: float, down: float) -> tuple[float, float]:
    """Return a place on an element in screen pixels, given as fractions of its width and height."""
    box = element.bounding_box()
    assert box is not None
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def save(picture: Image.Image, name: str) -> None:
    """Write a PNG with a palette that preserves the few coloured pixels among the grey ones."""
    path = PICTURES / f"{name}.png"
    palette = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    palette.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
