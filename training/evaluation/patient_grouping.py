"""Patients of image files that do not name one: every file is one, mini-MIAS pairs, or a table.

Intervals are drawn over patients, because the views of one woman are alike. Files that are taken for patients of their
own although they are not give intervals that are too narrow, so the report says by which rule the patients were found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mammo.errors import InvalidSettings
from mammo.exchange.datasets.contents import read_rows
from mammo.identifiers import identifier
from mammo.printable import printable

EVERY_FILE, MIAS = "file", "mias"
"""Rules by name; any other `--patients` is a table."""

MIAS_IMAGE = re.compile(r"mdb(\d{3})\b", re.IGNORECASE)
COLUMNS = ("file", "patient")


@dataclass(frozen=True, kw_only=True)
class PatientGrouping:
    """How the patient of a file is found that does not name its patient."""

    rule: str
    """`file`, `mias` or the name of a table."""

    table: Mapping[str, str] = field(default_factory=dict)
    """Patient by file, as in the table; empty for the other rules."""

    @classmethod
    def parse(cls, option: str) -> PatientGrouping:
        """Parse `--patients`.

        Raises:
            InvalidSettings: it is neither a rule nor a CSV file, or a file has two patients in it.
            MammoError: the CSV file lacks a column, or cannot be read (code `invalid_dataset`).
        """
        if option in (EVERY_FILE, MIAS):
            return cls(rule=option)
        path = Path(option)
        if not os.path.isfile(path):
            raise InvalidSettings(
                f"--patients is {EVERY_FILE}, {MIAS} or a CSV file with the columns file and patient; there is no file "
                f"{printable(option)}"
            )
        table: dict[str, str] = {}
        for line, row in read_rows(path, COLUMNS):
            patient = identifier(row["patient"])
            if patient is None:
                raise InvalidSettings(f"{path.name}, line {line}: the patient is missing; fill it in")
            if table.setdefault(_normal(row["file"]), patient) != patient:
                raise InvalidSettings(
                    f"{path.name}, line {line}: another row of this file names another patient"
                )
        return cls(rule=path.name, table=table)

    def of(self, name: str, *, stated: str, path: Path) -> str:
        """Return an identifier of the patient.

        Args:
            name: path of the file in its folder.
            stated: the patient by the data set; empty if it names none. A rule that was chosen takes precedence.
            path: of the file.

        Raises:
            InvalidSettings: the rule does not cover this file.
        """
        if self.rule == EVERY_FILE:
            return stated or f"file {path.resolve()}"
        if self.rule == MIAS:
            match = MIAS_IMAGE.match(PurePosixPath(name).name)
            if match is None:
                raise InvalidSettings(
                    f"{printable(name)}: --patients mias needs names like mdb209.pgm; use a CSV file instead"
                )
            return f"pair-{(int(match[1]) + 1) // 2:03d}"
        patient = self.table.get(_normal(name)) or self.table.get(PurePosixPath(name).name)
        if patient is None:
            raise InvalidSettings(f"{printable(name)} has no row in {self.rule}; add one: file, patient")
        return patient

    @property
    def sentence(self) -> str:
        """What the report says of the rule."""
        if self.rule == EVERY_FILE:
            return "by PatientID or data set; of other files, every file is taken for a patient of its own"
        if self.rule == MIAS:
            return "by PatientID; of other files, mini-MIAS images 2k+1 and 2k+2 are one woman"
        return f"by PatientID; of other files, by {self.rule}"


def _normal(name: str) -> str:
    return PurePosixPath(name.strip().replace("\\", "/")).as_posix()
