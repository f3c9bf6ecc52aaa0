"""Files to import, and a Label Studio that takes tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from mammo.dicom import write_mammogram
from mammo.labelstudio import labeling_config

SECRET = b"a secret of the site"
NAME, ID, BIRTH = "QUATERMAIN^HERMINE", "PID-90817", "19440229"
PLANTED = ("quatermain", "hermine", "90817", "19440229")


class FakeTasks:
    """Label Studio as far as an import sees it; it may go away after some tasks."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.data: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self.fails_after = fails_after

    def project(self, project: int) -> dict[str, Any]:
        return {"label_config": labeling_config()}

    def tasks(self, project: int) -> list[dict[str, Any]]:
        assert project == 7
        return [{"id": number, "data": data} for number, data in enumerate(self.data, 1)]

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        if self.fails_after is not None and len(self.data) + len(tasks) > self.fails_after:
            raise ConnectionError("gone")
        self.calls.append(len(tasks))
        self.data += [dict(task) for task in tasks]
        return list(range(len(self.data) - len(tasks) + 1, len(self.data) + 1))


def dicom(path: Path, *, seed: int = 0, name: str | None = None, patient: str = "PHANTOM-1") -> Path:
    """A mammogram that nobody was imaged for, or, with a name, one of a patient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.random.default_rng(seed).integers(0, 4096, (48, 40)).astype(np.uint16)
    write_mammogram(
        path,
        stored,
        laterality="L",
        view="CC",
        spacing_mm=0.07,
        bits=12,
        patient_id=patient,
        entropy=str(seed),
    )
    if name is not None:
        dataset = pydicom.dcmread(path)
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = name, ID, BIRTH
        dataset.PatientIdentityRemoved = "NO"
        dataset.PatientComments = f"called {name}"
        dataset.save_as(path)
    return path


def seven_files(folder: Path) -> Path:
    """A folder of seven mammograms in two folders."""
    for seed in range(7):
        dicom(folder / f"{seed // 4}" / f"{seed}.dcm", seed=seed)
    return folder
