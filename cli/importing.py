"""Import: a DICOM mammogram gets an 8-bit twin for people and a Label Studio task that names both.

The twin has the DICOM's exact geometry, because percent coordinates and brush masks depend on it. Its name is the
file's SHA-256, so no patient tag reaches a URL.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import track

from mammo.dicom import display_twin, encode_png, read_mammogram
from mammo.errors import InvalidSettings, MammoError, UnreadableImage
from mammo.settings import Settings

TWINS = "twins"
"""Folder of the twins below the folder that Label Studio serves as local files."""


def import_mammogram(file: Path, *, root: Path, files: Path, patient_secret: bytes) -> dict[str, Any]:
    """Write the twin of one DICOM file and describe its task.

    Args:
        file: the DICOM file, below `root`.
        root: the service's `mammogram_root`.
        files: the folder that Label Studio serves as local files; the twin goes into its `twins`.
        patient_secret: key of the patient keys.

    Returns:
        The task's `data`: `image` (what people see), `mammogram` (what the model reads, below the root),
        `sha256`, `patient`, `view`, `laterality`, `spacing_mm` as [row, column].

    Raises:
        UnreadableImage: not a mammogram we accept, or without a patient to group its views by.
        ValueError: the file does not lie below the root.
    """
    reference = file.resolve().relative_to(root.resolve())
    mammogram = read_mammogram(file, patient_secret=patient_secret)
    if mammogram.patient is None:
        raise UnreadableImage(
            "the file names no patient, so its views could end up on both sides of a split; set PatientID",
            code="no_patient",
        )
    twin = files / TWINS / f"{mammogram.sha256}.png"
    twin.parent.mkdir(parents=True, exist_ok=True)
    if not twin.exists():
        partial = twin.with_suffix(".partial")
        partial.write_bytes(encode_png(display_twin(file)))
        partial.replace(twin)
    spacing = mammogram.spacing
    return {
        "image": f"/data/local-files/?d={TWINS}/{twin.name}",
        "mammogram": reference.as_posix(),
        "sha256": mammogram.sha256,
        "patient": mammogram.patient,
        "view": mammogram.view,
        "laterality": mammogram.laterality,
        "spacing_mm": [spacing.row_mm, spacing.column_mm] if spacing else None,
    }


def import_command(paths: Sequence[Path], *, project: int, twins: Path) -> int:
    """`yolo-mlsam import`: returns 0, or 2 when any file was refused; the others are imported all the same."""
    from mammo.labelstudio.client import LabelStudioClient

    settings = Settings.load()
    secret = settings.patient_secret.get_secret_value().encode()
    if not settings.mammogram_root or not settings.label_studio_url or not secret:
        raise InvalidSettings(
            "import needs YOLO_MLSAM_MAMMOGRAM_ROOT, YOLO_MLSAM_LABEL_STUDIO_URL, YOLO_MLSAM_LABEL_STUDIO_API_KEY "
            "and YOLO_MLSAM_PATIENT_SECRET"
        )
    client = LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key.get_secret_value())
    known = {task["data"].get("sha256") for task in client.tasks(project)}
    described, failed = [], False
    for file in track(list(_files(paths)), "Importing", console=Console(file=sys.stderr)):
        try:
            data = import_mammogram(file, root=settings.mammogram_root, files=twins, patient_secret=secret)
        except (MammoError, ValueError) as error:
            failed = True
            typer.echo(f"{file}: {error}", err=True)
            continue
        if data["sha256"] not in known:
            known.add(data["sha256"])
            described.append(data)
    ids = client.import_tasks(project, described)
    typer.echo(f"{len(ids)} new tasks in project {project}")
    return 2 if failed else 0


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        else:
            yield path
