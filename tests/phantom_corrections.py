"""Corrections of phantom patients as Label Studio sends them: what a reader would have drawn who sees the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammo.exchange.importing import import_mammogram
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import truth_regions
from mammo.phantom import vendor_b
from training.cases import Case, silent
from training.phantom_cases import write_phantom_patients


def imported_phantoms(
    root: Path, *, seeds: Sequence[int], patient_secret: bytes, views: str = "*.dcm"
) -> list[tuple[dict[str, Any], Case]]:
    """Draw patients of four small views each, nine in ten with clusters; the data of the tasks, and their truth.

    Args:
        views: pattern of the names of the files that are imported.
    """
    drawn = write_phantom_patients(
        root,
        seeds=seeds,
        appearance=replace(vendor_b(), width=640, height=896),
        positive=0.9,
        patient_secret=patient_secret,
        progress=silent,
    )
    by_image = {case.image: case for case in drawn}
    tasks = [
        import_mammogram(file, root=root, files=root.parent, patient_secret=patient_secret)
        for file in sorted(root.rglob(views))
    ]
    return [(data, by_image[data["sha256"]]) for data in tasks]


def correction(number: int, data: dict[str, Any], case: Case, *, project: int) -> dict[str, Any]:
    """The event of a reader who has drawn the truth of task `number`."""
    regions = truth_regions(case.truth, size=case.read().size, tags=ControlTags(), source="reader")
    return {
        "action": "ANNOTATION_CREATED",
        "project": {"id": project},
        "task": {"id": number, "data": data},
        "annotation": {
            "id": 100 + number,
            "task": number,
            "project": project,
            "completed_by": 1,
            "was_cancelled": False,
            "lead_time": 30.0,
            "updated_at": f"2026-11-23T08:00:{number:02d}.000000Z",
            "result": regions,
        },
    }
