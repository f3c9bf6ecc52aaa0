"""Make corrections of random kind in a real Label Studio, and compare the dataset version with what was meant."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.annotator import WINDOW, Screen, choose_smart_points
from benchmarks.annotator_site import SECRET, AnnotatorSite, annotator_site
from benchmarks.corrections.hands import Hands
from benchmarks.corrections.project import ExamProject, correct
from benchmarks.corrections.reader import KINDS, Kind
from benchmarks.corrections.shapes import RECORDED, shapes
from benchmarks.result import Result
from mammo.geometry import Size

SIZE = Size(1280, 1664)
PER_EXAM = 8


def run(*, number: int = 200, by_hand: int = 12, seed: int = 20) -> Result:
    """Make corrections; raise AssertionError unless all are stored as they were meant.

    Args:
        number: of corrections.
        by_hand: how many of them, at least, are made in Chromium.
        seed: decides what is corrected, and how.
    """
    draw = random.Random(seed)
    num_exams = -(-number // PER_EXAM)
    kinds = [KINDS[index % len(KINDS)] for index in range(number)]
    draw.shuffle(kinds)
    shares = [kinds[start : start + PER_EXAM] for start in range(0, number, PER_EXAM)]
    num_by_hand = -(-by_hand // PER_EXAM)
    made = Counter[Kind]()
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="yolo-mlsam-corrections-", ignore_cleanup_errors=True) as folder,
        annotator_site(Path(folder), num_exams=num_exams, size=SIZE, with_images=False) as site,
    ):
        project = ExamProject(site.exams, SIZE, SECRET)
        tasks = project.tasks()
        if by_hand:
            made += in_browser(site, project, shares[:num_by_hand], draw)
        others = [task for task in tasks if task not in project.meant]
        for task, share in zip(others, shares[num_by_hand:], strict=True):
            made += project.correct(task, tasks[task], share, draw)
        site.exams.expect_corrections()
        problems = project.problems()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise AssertionError(f"{len(problems)} things are not as they were meant")
    return Result(
        title="Corrections of random kind",
        method=(
            f"{sum(made.values())} corrections (seed {seed}) of {num_exams} exams in Label Studio, those of the first "
            f"{num_by_hand} exams in Chromium, the others over the API as the browser submits them. The dataset "
            f"version and the traces hold exactly what was meant. {time.perf_counter() - began:.0f} s."
        ),
        columns=("correction", "number"),
        rows=[(kind, str(made[kind])) for kind in KINDS],
    )


def in_browser(
    site: AnnotatorSite, project: ExamProject, shares: list[list[Kind]], draw: random.Random
) -> Counter[Kind]:
    """Make corrections in Chromium, of the exams that the label stream shows; return how many of each kind."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    tasks = project.tasks()
    made = Counter[Kind]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        screen = Screen(browser.new_page(viewport=WINDOW), site, site.exams.project, 4)
        screen.log_in()
        screen.begin()
        choose_smart_points(screen)
        for share in shares:
            task = screen.task
            hands = Hands(screen, **project.reader(tasks[task], project.editor(task), draw))
            for kind in share:
                correct(hands, kind)
            screen.hands.key("Control+Enter")
            screen.await_task(task)
            (annotation,) = site.exams.client.annotations(task)
            if strange := shapes(annotation["result"]) - RECORDED:
                project.strange.append(f"task {task}: the browser submits {strange}, which was not recorded")
            project.submitted(task, hands)
            made += Counter(kind for kind, _ in hands.done)
        browser.close()
    return made
