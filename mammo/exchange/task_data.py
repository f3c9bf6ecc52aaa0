"""Task data of an imported image: refusal of files that identify their patient, the 8-bit twin, and the `data` object.

A twin has exactly the geometry of its DICOM file, because percent coordinates and brush masks depend on it; a scale bar
lies in its air. It is named after the SHA-256 of the file, so no patient tag becomes part of a URL; and after the pixel
spacing if the file does not state it, so that no twin has the scale bar of another import's spacing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammo.atomic_files import replacing
from mammo.dicom import Intake, encode_png
from mammo.dicom.scale_bar import with_scale_bar
from mammo.errors import UnreadableImage
from mammo.exam_views import PSEUDONYM
from mammo.geometry import Spacing
from mammo.identifiers import pseudonym

TWINS = "twins"
"""Folder of the twins, below the folder that Label Studio serves as local files."""


def require_deidentified(intake: Intake, *, allow_identified: bool) -> None:
    """Refuse a file that identifies its patient.

    Args:
        intake: the file.
        allow_identified: accept patient tags in the file. A path that contains them is refused in any case, because it
            becomes part of the task.

    Raises:
        UnreadableImage: the path (code `named_path`) or the file (code `identified`) identifies the patient.
    """
    if intake.named_in_path:
        raise UnreadableImage(
            "its path contains the patient's name, ID or birth date, and the path becomes part of the task; "
            "rename it or run `yolo-mlsam deidentify`",
            code="named_path",
        )
    if intake.identifying and not allow_identified:
        raise UnreadableImage(
            f"it identifies the patient in {', '.join(intake.identifying)}, and PatientIdentityRemoved is not YES; "
            "run `yolo-mlsam deidentify`, or give --allow-identified if this is intended",
            code="identified",
        )


def write_twin(intake: Intake, folder: Path, *, spacing: Spacing | None) -> str:
    """Write the 8-bit twin of an image, unless it exists, with a scale bar; return its address in Label Studio.

    Args:
        intake: the image.
        folder: the folder that Label Studio serves as local files.
        spacing: pixel spacing; None if unknown, then the twin has no scale bar.

    Raises:
        OSError: the twin cannot be written.
    """
    scale = f"-{spacing.row_mm:g}x{spacing.column_mm:g}" if spacing and spacing != intake.spacing else ""
    twin = folder / TWINS / f"{intake.sha256}{scale}.png"
    if not twin.exists():
        twin.parent.mkdir(parents=True, exist_ok=True)
        with replacing(twin, shared=True) as part:
            part.write_bytes(encode_png(with_scale_bar(intake.twin, spacing)))
    return f"/data/local-files/?d={TWINS}/{twin.name}"


def task_data(
    intake: Intake, *, image: str, mammogram: str, patient: str | None, spacing: Spacing | None
) -> dict[str, Any]:
    """Return the task data of an image.

    Args:
        intake: the image.
        image: address of its twin, which annotators see.
        mammogram: path of its DICOM file below the mammogram root, which the model reads.
        patient: patient key.
        spacing: pixel spacing; None if unknown.

    Returns:
        `image`, `mammogram`, `sha256`, `patient`, `pseudonym`, `view`, `laterality`, and `spacing_mm` as [row, column].
    """
    return {
        "image": image,
        "mammogram": mammogram,
        "sha256": intake.sha256,
        "patient": patient,
        PSEUDONYM: pseudonym(patient),
        "view": intake.view,
        "laterality": intake.laterality,
        "spacing_mm": [spacing.row_mm, spacing.column_mm] if spacing else None,
    }
