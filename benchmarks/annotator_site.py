"""The site of the scripted annotator: a real Label Studio with a project of exams, and one of single images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.phantom_exams import exam_data, exam_views
from cli.demo.processes import Processes
from cli.demo.stack import Stack, finish_stack, launch_stack
from cli.demo.walk import Walk
from cli.project.connecting import ProjectOptions, Screen, create_project
from mammo.exchange.task_data import TWINS
from mammo.geometry import Size
from training.cases import silent

ROOT = Path(__file__).parent.parent
SIZE = Size(2560, 3328)
SECRET = b"phantoms of the scripted annotator"
SEED = 441
CLUSTERS = {"L": 2, "R": 1}


@dataclass
class AnnotatorSite:
    """A running stack and its two projects, prelabelled."""

    stack: Stack
    exams: Walk
    """Project whose tasks show four views."""

    images: Walk
    """Project whose tasks show one view each, of the same patients, with brush regions."""


@contextmanager
def annotator_site(
    folder: Path, *, num_exams: int, size: Size = SIZE, with_images: bool = True
) -> Iterator[AnnotatorSite]:
    """Start the stack, draw the phantoms of some patients, import them into both projects and prelabel them.

    Args:
        folder: of the stack.
        num_exams: number of patients.
        size: of the images.
        with_images: also prelabel the project of single images, which otherwise stays empty.
    """
    with (
        Processes(folder / "logs") as processes,
        launch_stack(
            processes,
            folder,
            label_studio=ROOT / ".venv-label-studio/bin/label-studio",
            port=0,
            recipe="smoke",
            patient_secret=SECRET.decode(),
        ) as stack,
    ):
        patients = [
            exam_views(
                stack, f"PHANTOM-{number}", seed=SEED + number, size=size, clusters=CLUSTERS, secret=SECRET
            )
            for number in range(num_exams)
        ]
        finish_stack(stack)
        exams, images = _project(stack, "Exams", screen="exam"), _project(stack, "Images", screen="image")
        exams.client.import_tasks(exams.project, [exam_data(views) for views in patients])
        singles = [view for views in patients for view in views.values()] if with_images else []
        images.client.import_tasks(images.project, singles)
        for walk in (exams, images) if with_images else (exams,):
            walk.cases = {}
            walk.prelabel(silent)
        yield AnnotatorSite(stack, exams, images)


def _project(stack: Stack, title: str, *, screen: Screen) -> Walk:
    walk = Walk(stack)
    twins = stack.label_studio.files.resolve() / TWINS
    twins.mkdir(exist_ok=True)
    options = ProjectOptions(title=title, url=stack.backend_url, local=twins, screen=screen)
    walk.project = create_project(options, site=stack.site, console=Console(quiet=True))
    return walk
