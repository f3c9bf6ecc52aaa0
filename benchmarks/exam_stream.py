"""A long label stream of exams: what the next one takes, and whether the browser's memory grows."""

from __future__ import annotations

import shutil
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.annotator_site import AnnotatorSite
from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.task_data import TWINS
from mammo.labelstudio.exam_config import exam_config

if TYPE_CHECKING:
    from benchmarks.annotator import Screen


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
    empty = chromium_bytes()
    screen.begin()
    memory, seconds = [chromium_bytes() - empty], list[float]()
    for _ in range(number - 1):
        task, began = screen.task, time.perf_counter()
        screen.hands.key("Control+Enter")
        screen.await_task(task)
        seconds.append(time.perf_counter() - began)
        memory.append(chromium_bytes() - empty)
    shown = sorted({0, *range(number // 3 - 1, number, max(1, number // 3)), number - 1})
    exams = ", ".join(str(each + 1) for each in shown)
    gibibytes = ", ".join(f"{memory[each] / 2**30:.2f}" for each in shown)
    took = f"{statistics.median(seconds):.1f} s, {max(seconds):.1f} s"
    return [
        (f"next exam of a stream of {number}, median and slowest", took, ""),
        (f"memory of the browser at exams {exams}", f"{gibibytes} GiB", ""),
    ]


def chromium_bytes() -> float:
    """Return the proportional set size of all processes of Chromium that belong to this one."""
    processes = psutil.Process().children(recursive=True)
    total = 0
    for each in processes:
        with suppress(psutil.Error):
            if "chromium" in each.name():
                total += each.memory_full_info().pss
    return float(total)
