"""Corrections of random kind, submitted as the browser does: a dataset version holds exactly what was meant.

`python -m benchmarks.corrections` makes more of them, some in Chromium.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from rich.console import Console

from benchmarks.corrections.project import ExamProject
from benchmarks.corrections.reader import KINDS
from benchmarks.phantom_exams import exam_data, exam_views
from cli.demo.stack import Stack
from cli.demo.walk import Walk
from cli.project.connecting import ProjectOptions, create_project
from mammo.exchange.task_data import TWINS
from mammo.geometry import Size
from training.cases import silent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SIZE = Size(960, 1280)
SECRET = b"corrections of random kind"
NUM_EXAMS = 2
NUM_CORRECTIONS = 20


@pytest.fixture
def exams(running_stack: Stack) -> Iterator[ExamProject]:
    walk = Walk(running_stack)
    twins = running_stack.label_studio.files.resolve() / TWINS
    twins.mkdir(exist_ok=True)
    options = ProjectOptions(title="Corrections", url=running_stack.backend_url, local=twins)
    walk.project = create_project(options, site=walk.site, console=Console(quiet=True))
    root = running_stack.settings.mammogram_root
    assert root is not None
    try:
        for number in range(NUM_EXAMS):
            views = exam_views(
                running_stack,
                f"PHANTOM-RANDOM-{number}",
                seed=460 + number,
                size=SIZE,
                clusters={"L": 2, "R": 2},
                secret=SECRET,
            )
            walk.client.import_tasks(walk.project, [exam_data(views)])
        walk.cases = {}
        walk.prelabel(silent)
        yield ExamProject(walk, SIZE, SECRET)
    finally:
        for file in root.glob("exam-PHANTOM-RANDOM-*.dcm"):
            file.unlink()
        walk.client.call("DELETE", f"/api/projects/{walk.project}/")


def test_no_finding_is_invented_or_lost(exams: ExamProject) -> None:
    draw, tasks = random.Random(20), exams.tasks()
    kinds = [KINDS[index % len(KINDS)] for index in range(NUM_CORRECTIONS)]
    draw.shuffle(kinds)
    made: Counter[str] = Counter()
    for number, (task, data) in enumerate(tasks.items()):
        made += exams.correct(task, data, kinds[number::NUM_EXAMS], draw)
    assert sum(made.values()) == NUM_CORRECTIONS
    exams.walk.expect_corrections()
    assert exams.problems() == []
