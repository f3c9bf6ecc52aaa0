"""Phantom exams on a running stack: four views of a patient as DICOM files and twins, and the data of their task."""

from __future__ import annotations

from typing import Any

from cli.demo.stack import Stack
from mammo.dicom import write_mammogram
from mammo.exam_views import EXAM_VIEWS, ExamView
from mammo.exchange.exam_tasks import ExamFacts, exam_task_data
from mammo.exchange.importing import import_mammogram
from mammo.geometry import Size, Spacing
from mammo.phantom import phantom_view, vendor_a

DAY = "2026-12-01"
"""Key of the exam of every patient."""


def exam_views(
    stack: Stack,
    patient: str,
    *,
    seed: int,
    size: Size,
    clusters: dict[str, int],
    secret: bytes,
    missing: str = "",
) -> dict[ExamView, dict[str, Any]]:
    """Draw the views of a patient, write file and twin of each, and return the task data of each image.

    Args:
        stack: its mammogram root and the folder that its Label Studio serves.
        patient: names the patient and the files.
        seed: of the patient.
        size: of the images.
        clusters: number of clusters in each breast, by `L` and `R`.
        secret: of the patient keys.
        missing: name of a view that is left out, such as `LCC`.
    """
    root = stack.settings.mammogram_root
    assert root is not None
    images = {}
    for view in EXAM_VIEWS:
        if view.name == missing:
            continue
        drawn = phantom_view(
            seed,
            laterality=view.laterality,
            view=view.view,
            clusters=clusters[view.laterality],
            appearance=vendor_a(),
            width=size.width,
            height=size.height,
        )
        file = root / f"exam-{patient}-{view.name}.dcm"
        write_mammogram(
            file,
            drawn.stored,
            laterality=view.laterality,
            view=view.view,
            spacing_mm=drawn.spacing_mm,
            bits=drawn.bits,
            patient_id=patient,
            entropy=f"{patient} {view.name}",
        )
        images[view] = import_mammogram(
            file, root=root, files=stack.label_studio.files, patient_secret=secret
        )
    return images


def exam_data(
    images: dict[ExamView, dict[str, Any]], *, prior: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the data of the task that shows the views of a patient, and those of an earlier exam by its data."""
    patient = next(iter(images.values()))["patient"]
    spacings = {view: Spacing(*image["spacing_mm"], source="imager") for view, image in images.items()}
    return exam_task_data(images, facts=ExamFacts(patient=patient, exam=DAY), spacings=spacings, prior=prior)
