"""Exams as DICOM files, and the labeling config of a project that shows exams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from mammo.dicom import write_mammogram
from mammo.exam_views import EXAM_VIEWS, ExamView

EXAM_CONFIG = (
    "<View>"
    + "".join(
        f'<Image name="{view.name}" value="${view.key}"/>'
        f'<KeyPointLabels name="ask-{view.name}" toName="{view.name}" smart="true" smartOnly="true">'
        '<Label value="Cluster"/></KeyPointLabels>'
        f'<PolygonLabels name="outline-{view.name}" toName="{view.name}" smart="false">'
        '<Label value="Cluster"/></PolygonLabels>'
        for view in EXAM_VIEWS
    )
    + "</View>"
)
"""Four images with polygons: the least that shows an exam."""


def exam_files(
    folder: Path,
    *,
    patient: str = "PHANTOM-1",
    study: str = "1.2.3",
    day: str = "20240102",
    views: Sequence[ExamView] = EXAM_VIEWS,
    **elements: Any,
) -> list[Path]:
    """Write the views of an exam, each with pixels of its own; `elements` are set in every file."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for view in views:
        file = folder / f"{patient}-{study}-{view.name}.dcm"
        seed = sum(map(ord, f"{patient}{study}{view.name}"))
        write_mammogram(
            file,
            np.random.default_rng(seed).integers(0, 4096, (48, 40)).astype(np.uint16),
            laterality=view.laterality,
            view=view.view,
            spacing_mm=0.07,
            bits=12,
            patient_id=patient,
            study_uid=study,
            entropy=file.name,
        )
        change(file, StudyDate=day, **elements)
        files.append(file)
    return files


def change(file: Path, **elements: Any) -> Path:
    """Set elements of a file."""
    dataset = pydicom.dcmread(file)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(file)
    return file
