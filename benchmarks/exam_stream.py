"""A long label stream of exams: what the next one takes, and whether the browser's memory grows.

Memory is read after a forced garbage collection, so that it is what the page holds, and not what waits to be collected.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from scipy import stats

from benchmarks.annotator_site import AnnotatorSite
from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.task_data import TWINS
from mammo.labelstudio.exam_config import exam_config

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

    from benchmarks.annotator import Screen

WARM_UP = 10
"""Exams at the beginning during which caches fill; the slope is that of the others."""


@dataclass(frozen=True)
class Slope:
    """Growth per exam, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} MiB per exam ({self.low:+.1f} to {self.high:+.1f})"


def long_stream(site: AnnotatorSite, num_exams: int) -> int:
    """Make a project of exams with the images and predictions of those that there are, again and again; return its id.

    Each exam has twins under names of its own, so that a browser takes them for pictures that it has not seen.
    """
    client, twins = site.exams.client, site.stack.label_studio.files / TWINS
    known = [(task["data"], client.predictions(task["id"])[0]) for task in client.tasks(site.exams.project)]
    project = client.create_project("A long stream", exam_config())
    for number in range(num_exams):
        data, prediction = dict(known[number % len(known)][0]), known[number % len(known)][1]
        for view in EXAM_VIEWS:
            twin = f"exam-{number}-{view.name}.png"
            shutil.copyfile(twins / Path(data[view.key]).name, twins / twin)
            data[view.key] = f"/data/local-files/?d={TWINS}/{twin}"
        (task,) = client.import_tasks(project, [data])
        client.push_prediction(task, {key: prediction[key] for key in ("result", "score", "model_version")})
        client.set_model_version(project, prediction["model_version"])
    return project


def read_stream(screen: Screen, number: int) -> list[tuple[str, str, str]]:
    """Accept exam after exam; return rows: what the next one took, and the memory of the browser on the way."""
    session = screen.page.context.new_cdp_session(screen.page)
    session.send("Performance.enable")
    empty, _ = memory_of(session)
    screen.begin()
    whole, script, seconds = list[float](), list[float](), list[float]()
    for index in range(number):
        if index:
            task, began = screen.task, time.perf_counter()
            screen.hands.key("Control+Enter")
            screen.await_task(task)
            seconds.append(time.perf_counter() - began)
        of_browser, of_scripts = memory_of(session)
        whole.append((of_browser - empty) / 2**20)
        script.append(of_scripts / 2**20)
        print(f"exam {index + 1}: {whole[-1]:.0f} MiB, scripts {script[-1]:.1f} MiB", flush=True)
    took = f"{statistics.median(seconds):.1f} s, {max(seconds):.1f} s"
    shown = sorted({0, number - 1, *range(number // 4 - 1, number, max(1, number // 4))})
    exams = ", ".join(str(each + 1) for each in shown)
    rows = [(f"next exam of a stream of {number}, median and slowest", took, "")]
    for name, values in (("memory of the browser", whole), ("heap of its scripts", script)):
        held = ", ".join(f"{values[each]:.0f}" for each in shown)
        rows.append((f"{name} at exams {exams}", f"{held} MiB", ""))
        if number > WARM_UP + 2:
            rows.append((f"{name}, growth after exam {WARM_UP}", str(slope(values[WARM_UP:])), ""))
    return rows


def slope(values: Sequence[float]) -> Slope:
    """Return the slope of a line through values, with the 95 % interval of a least-squares fit."""
    fit = stats.linregress(np.arange(len(values)), values)
    half = float(stats.t.ppf(0.975, len(values) - 2)) * fit.stderr
    return Slope(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def memory_of(session: CDPSession) -> tuple[float, float]:
    """Return the bytes that the browser, and that the scripts of its page hold, after a garbage collection."""
    for _ in range(2):  # the first frees what the second can collect
        session.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return chromium_bytes(), float(metrics["JSHeapUsedSize"])


def chromium_bytes() -> float:
    """Return the proportional set size of all processes of Chromium that belong to this one."""
    processes = psutil.Process().children(recursive=True)
    total = 0
    for each in processes:
        with suppress(psutil.Error):
            if "chromium" in each.name():
                total += each.memory_full_info().pss
    return float(total)
