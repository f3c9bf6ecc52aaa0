"""Phantom patients for a PACS: named, as real ones are, and dated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom

from cli.phantom import phantom_command
from mammo.exchange.phantom_files import PhantomOptions
from mammo.phantom import vendor_b

NAME, BIRTH = "QUATERMAIN^HERMINE", "19440229"
PLANTED = ("quatermain", "hermine", "pid-", "19440229")


def drawn_patients(out: Path, *, count: int) -> list[Path]:
    """Mammograms of patients PID-0, PID-1, ..., four views each, in the order of patient and view."""
    small = replace(vendor_b(), width=256, height=320)
    phantom_command(PhantomOptions(patients=count, seed=3, appearance=small, positive=0.0), out=out)
    files = sorted(each for each in out.glob("*.dcm") if ".seg." not in each.name)
    for number, file in enumerate(files):
        named(file, patient=f"PID-{number // 4}")
    return files


def named(file: Path, *, patient: str, **changes: str) -> Path:
    dataset = pydicom.dcmread(file)
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, patient, BIRTH
    dataset.PatientIdentityRemoved = "NO"
    dataset.AccessionNumber = f"ACC-{patient}"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(file)
    return file
