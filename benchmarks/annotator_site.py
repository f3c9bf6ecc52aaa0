"""The site of the scripted annotator: a real Label Studio with a project of exams, and one of single images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.demo.processes import Processes
from cli.demo.stack import Stack, finish_stack, launch_stack
from cli.demo.walk import Walk
from cli.project.connecting import ProjectOptions, Screen, create_project
from mammo.dicom import write_mammogram
from mammo.exam_views import EXAM_TITLE, EXAM_VIEWS
from mammo.exchange.importing import import_mammogram
from mammo.exchange.task_data import TWINS
from mammo.geometry import Size
from mammo.images.task_images import IMAGE_FACTS
from mammo.phantom import phantom_view, vendor_a
from mammo.site import Site
from training.cases import silent

ROOT = Path(__file__).parent.parent
SIZE = Size(2560, 3328)
SECRET = b"phantoms of the scripted annotator"
SEED = 441


@dataclass
class AnnotatorSite:
    """A running stack and its two projects, prelabelled."""

    stack: Stack
    exams: Walk
    """Project whose tasks show four views."""

    images: Walk
    """Project whose tasks show one view each, of the same patients, with brush regions."""


@contextmanager
def annotator_site(folder: Path, *, num_exams: int) -> Iterator[AnnotatorSite]:
    """Start the stack, draw the phantoms of some patients, import them into both projects and prelabel them."""
    with Processes(folder / "logs") as processes:
        stack = launch_stack(
            processes,
            folder,
            label_studio=ROOT / ".venv-label-studio/bin/label-studio",
            port=0,
            recipe="smoke",
            patient_secret=SECRET.decode(),
        )
        patients = [_views(stack, number) for number in range(num_exams)]
        finish_stack(stack)
        exams, images = _project(stack, "Exams", screen="exam"), _project(stack, "Images", screen="image")
        exams.client.import_tasks(exams.project, [_exam(views) for views in patients])
        images.client.import_tasks(images.project, [view for views in patients for view in views.values()])
        for walk in (exams, images):
            walk.cases = {}
            walk.prelabel(silent)
        yield AnnotatorSite(stack, exams, images)


def _project(stack: Stack, title: str, *, screen: Screen) -> Walk:
    walk = Walk.on(stack)
    twins = stack.label_studio.files.resolve() / TWINS
    twins.mkdir(exist_ok=True)
    options = ProjectOptions(title=title, url=stack.backend_url, local=twins, screen=screen)
    walk.project = create_project(options, site=Site(settings=stack.settings), console=Console(quiet=True))
    return walk


def _views(stack: Stack, number: int) -> dict[str, dict[str, Any]]:
    """Draw the four views of a patient, and return the task data of each by its key."""
    root = stack.settings.mammogram_root
    assert root is not None
    described = {}
    for view in EXAM_VIEWS:
        drawn = phantom_view(
            SEED + number,
            laterality=view.laterality,
            view=view.view,
            clusters=2 if view.laterality == "L" else 1,
            appearance=vendor_a(),
            width=SIZE.width,
            height=SIZE.height,
        )
        file = root / f"annotator-{number}-{view.name}.dcm"
        write_mammogram(
            file,
            drawn.stored,
            laterality=view.laterality,
            view=view.view,
            spacing_mm=drawn.spacing_mm,
            bits=drawn.bits,
            patient_id=f"PHANTOM-{number}",
            entropy=f"{number} {view.name}",
        )
        described[view.key] = import_mammogram(
            file, root=root, files=stack.label_studio.files, patient_secret=SECRET
        )
    return described


def _exam(views: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the data of the task that shows the four views."""
    data: dict[str, Any] = {EXAM_TITLE: "a phantom, 0.07 mm/px", "exam": "2026-12-01"}
    for view in EXAM_VIEWS:
        described = views[view.key]
        data |= {view.key: described["image"], view.title_key: view.title, "patient": described["patient"]}
        data |= {view.fact_key(each): described[each] for each in IMAGE_FACTS if each in described}
    return data
