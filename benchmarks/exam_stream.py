"""A long label stream of exams: what the next one takes, and what the browser's memory grows by.

    python -m benchmarks.exam_stream --exams 40 --variant ours --variant plain

Variants say where growth comes from: ours, or Label Studio's; that of the drawings, or that of the pictures.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.sync_api import sync_playwright

from benchmarks.annotator import WINDOW, Screen
from benchmarks.annotator_site import AnnotatorSite, annotator_site
from benchmarks.browser_memory import BrowserMemory, memory_of, session_of, slope
from benchmarks.result import Result
from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.task_data import TWINS
from mammo.findings import CLUSTER
from mammo.geometry import Size
from mammo.labelstudio.exam_config import exam_config

EXAMS = 40
"""Exams of a stream."""

WIDTH = 1280
"""Of the pictures, in pixels; they are higher by three tenths."""

PATIENTS = 1
"""Different exams in it, shown again and again."""

WARM_UP = 10
"""Exams at the beginning during which caches fill; the slope is that of the others."""

QUANTITIES = {
    "browser": "browser, MiB",
    "page": "process of the page, MiB",
    "heap": "heap of its scripts, MiB",
    "num_detached": "nodes outside the document",
    "num_listeners": "listeners",
}
"""Field of `BrowserMemory` -> its words."""


class Variant(StrEnum):
    """What a stream shows."""

    OURS = "ours"
    """The exam screen, with predictions."""

    OURS_EMPTY = "ours-empty"
    """The exam screen, without predictions."""

    OURS_SAME_PICTURES = "ours-same-pictures"
    """The exam screen, with predictions; all exams show the same four pictures."""

    PLAIN = "plain"
    """Four Image tags with a polygon control each and nothing else, with predictions."""

    PLAIN_EMPTY = "plain-empty"
    """The same without predictions."""

    @property
    def is_ours(self) -> bool:
        return self.value.startswith("ours")

    @property
    def has_predictions(self) -> bool:
        return not self.value.endswith("empty")


@dataclass(frozen=True)
class Stream:
    """What was seen on the way."""

    seconds: list[float]
    """Until the next exam was shown; of all exams but the first."""

    memory: list[BrowserMemory]
    """At each exam."""

    reloaded: BrowserMemory
    """After the page was loaded again."""

    reopened: BrowserMemory
    """After its tab was closed, and the stream opened in another."""

    def of(self, quantity: str) -> list[float]:
        return [float(getattr(each, quantity)) for each in self.memory]


def long_stream(site: AnnotatorSite, num_exams: int, variant: Variant) -> int:
    """Make a project of exams with the images and predictions of those that there are, again and again; return its id.

    Each exam has twins under names of its own, so that a browser takes them for pictures that it has not seen; but for
    the variant with the same pictures.
    """
    client, twins = site.exams.client, site.stack.label_studio.files / TWINS
    known = [(task["data"], client.predictions(task["id"])[0]) for task in client.tasks(site.exams.project)]
    config = exam_config() if variant.is_ours else plain_config()
    project = client.create_project(f"A long stream, {variant}", config)
    for number in range(num_exams):
        data, prediction = dict(known[number % len(known)][0]), known[number % len(known)][1]
        for view in EXAM_VIEWS if variant is not Variant.OURS_SAME_PICTURES else ():
            twin = f"{variant}-{number}-{view.name}.png"
            shutil.copyfile(twins / Path(data[view.key]).name, twins / twin)
            data[view.key] = f"/data/local-files/?d={TWINS}/{twin}"
        (task,) = client.import_tasks(project, [data])
        if variant.has_predictions:
            shown = prediction["result"] if variant.is_ours else polygons(prediction["result"])
            version = prediction["model_version"]
            client.push_prediction(
                task, {"result": shown, "score": prediction["score"], "model_version": version}
            )
            client.set_model_version(project, version)
    return project


def plain_config() -> str:
    """Return a config of the four views side by side, with what a polygon needs and nothing else."""
    views = "".join(
        f'<View style="flex: 1 1 0; min-width: 0"><Image name="{view.name}" value="${view.key}"/>'
        f'<PolygonLabels name="outline-{view.name}" toName="{view.name}"><Label value="{CLUSTER}"/></PolygonLabels>'
        "</View>"
        for view in EXAM_VIEWS
    )
    return f'<View style="display: flex">{views}</View>'


def polygons(result: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the outlines of a prediction, without what is said about them."""
    kept = (
        "id",
        "type",
        "from_name",
        "to_name",
        "original_width",
        "original_height",
        "image_rotation",
        "value",
    )
    return [{key: each[key] for key in kept} for each in result if each["type"] == "polygonlabels"]


def read_stream(screen: Screen, number: int) -> Stream:
    """Accept exam after exam but the last one, which is loaded again, and opened in another tab."""
    session, seconds = session_of(screen.page), list[float]()
    screen.begin()
    memory = [memory_of(screen.page, session)]
    for index in range(1, number):
        task, began = screen.task, time.perf_counter()
        screen.hands.key("Control+Enter")
        screen.await_task(task)
        seconds.append(time.perf_counter() - began)
        memory.append(memory_of(screen.page, session))
        print(f"exam {index + 1}: {memory[-1]}", flush=True)
    screen.begin()
    reloaded = memory_of(screen.page, session)
    print(f"loaded again: {reloaded}", flush=True)
    other = screen.page.context.new_page()
    screen.page.close()
    screen = Screen(other, screen.site, screen.project, screen.num_images, screen.num_regions)
    screen.begin()
    reopened = memory_of(other, session_of(other))
    print(f"in another tab: {reopened}", flush=True)
    return Stream(seconds, memory, reloaded, reopened)


def rows_of(stream: Stream, variant: Variant) -> list[tuple[str, ...]]:
    """Return a row for each quantity: what the browser held on the way, and what it grew by."""
    number = len(stream.memory)
    shown = sorted({0, number - 1, *range(number // 4 - 1, number, max(1, number // 4))})
    exams = ", ".join(str(each + 1) for each in shown)
    took = f"{statistics.median(stream.seconds):.1f} s, {max(stream.seconds):.1f} s"
    rows: list[tuple[str, ...]] = [(variant, "next exam, median and slowest", took, "")]
    for quantity, words in QUANTITIES.items():
        values = stream.of(quantity)
        held = ", ".join(f"{values[each]:.0f}" for each in shown)
        growth = str(slope(values[WARM_UP:])) if number > WARM_UP + 2 else ""
        rows.append((variant, f"{words}, at exams {exams}", held, growth))
        afterwards = (getattr(each, quantity) for each in (stream.reloaded, stream.reopened))
        held = ", ".join(f"{each:.0f}" for each in afterwards)
        rows.append((variant, f"{words}, loaded again, in another tab", held, ""))
    return rows


def run(
    *, exams: int = EXAMS, variants: Sequence[Variant] = (Variant.OURS, Variant.PLAIN), width: int = WIDTH
) -> Result:
    """Accept exam after exam, each variant in a browser of its own."""
    size = Size(width, width * 13 // 10)
    program = shutil.which("chromium") or shutil.which("google-chrome")
    rows = list[tuple[str, ...]]()
    with (
        tempfile.TemporaryDirectory(prefix="yolo-mlsam-stream-", ignore_cleanup_errors=True) as folder,
        annotator_site(Path(folder), num_exams=PATIENTS, size=size, with_images=False) as site,
        sync_playwright() as playwright,
    ):
        for variant in variants:
            print(variant, flush=True)
            project = long_stream(site, exams, variant)
            browser = playwright.chromium.launch(
                executable_path=program, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_context(viewport=WINDOW).new_page()
            screen = Screen(page, site, project, len(EXAM_VIEWS), num_regions=int(variant.has_predictions))
            screen.log_in()
            rows += rows_of(read_stream(screen, exams), variant)
            browser.close()
    return Result(
        title="A long label stream",
        method=f"{exams} exams of four phantoms of {size.width} x {size.height} in one tab of Chromium; growth per "
        f"exam after exam {WARM_UP}, with the 95 % interval of a line.",
        columns=("variant", "quantity", "value", "growth per exam"),
        rows=rows,
    )


def main(
    exams: Annotated[int, typer.Option(min=2, help="Exams of each stream, one after the other.")] = EXAMS,
    variant: Annotated[list[Variant] | None, typer.Option(help="What to show; all without it.")] = None,
    width: Annotated[int, typer.Option(min=1100, help="Of the pictures, in pixels.")] = WIDTH,
) -> None:
    """Measure what a long label stream holds."""
    typer.echo(run(exams=exams, variants=variant or list(Variant), width=width).markdown())


if __name__ == "__main__":
    typer.run(main)
