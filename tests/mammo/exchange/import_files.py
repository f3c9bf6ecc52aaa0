"""Files to import, and a Label Studio that takes tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom

from mammo.dicom import write_mammogram
from mammo.labelstudio import LabelStudioClient
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio

SECRET = b"a secret of the site"
NAME, ID, BIRTH = "QUATERMAIN^HERMINE", "PID-90817", "19440229"
PLANTED = ("quatermain", "hermine", "90817", "19440229")


class FakeTasks(LabelStudioClient):
    """A client of a fake Label Studio with project 7, which may go away after some tasks."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.server = FakeLabelStudio()
        self.server.add_project(7)
        self.server.before = self._refuse
        self.fails_after = fails_after
        super().__init__(URL, KEY, transport=self.server.transport)

    @property
    def data(self) -> list[dict[str, Any]]:
        return [task["data"] for task in self.server.tasks]

    def _refuse(self, request: httpx.Request) -> None:
        if self.fails_after is None or not request.url.path.endswith("/import"):
            return
        if len(self.data) + len(json.loads(request.content)) > self.fails_after:
            raise httpx.ConnectError("gone")


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
