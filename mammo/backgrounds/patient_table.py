"""The table of patients: which file of a folder is of which patient."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from mammo.exchange.datasets.contents import invalid, read_rows
from mammo.identifiers import identifier


def read_patients(table: Path) -> dict[str, str]:
    """Read a CSV table with the columns `file` and `patient`: name of the file -> the patient's normalised identifier.

    Raises:
        MammoError: it is no such table, or a file has two patients (code `invalid_dataset`).
        InvalidTaskData: an identifier is not valid text.
    """
    patients: dict[str, str] = {}
    for line, row in read_rows(table, ["file", "patient"]):
        name, patient = _normalised(row["file"].replace("\\", "/")), identifier(row["patient"])
        if patient is not None and patients.setdefault(name, patient) != patient:
            raise invalid(
                f"{table.name}, line {line}: the file has another patient on an earlier line; remove one"
            )
    return patients


def name_of(path: Path, folder: Path) -> str:
    """Return the name of a file in the table: its path below the folder, with slashes."""
    return _normalised(path.relative_to(folder).as_posix())


def _normalised(name: str) -> str:
    """Return a name in the Unicode form NFC, because macOS and Linux write `ü` differently."""
    return unicodedata.normalize("NFC", name)
