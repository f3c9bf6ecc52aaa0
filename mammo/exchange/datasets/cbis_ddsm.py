"""CBIS-DDSM (Lee et al. 2017): calcification cases, two CSV tables, digitised film and a mask per abnormality as DICOM.

    calc_case_description_{train,test}_set.csv      here, or in `csv/`
    [CBIS-DDSM/]Calc-Training_P_00005_RIGHT_CC/<study>/<series>/*.dcm

The tables contain paths with the UIDs of 2017. Later downloads have dates in their paths, so a missing file is searched
in the folder of its case. In many rows the columns of crop and mask are interchanged; the mask has the size of the
image. Abnormalities that are not distributed as a cluster (single or diffuse calcifications) are refused. An image with
such abnormalities only is left out, because it shows neither a cluster nor a breast without calcifications.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from mammo.dicom import read_mammogram
from mammo.errors import InvalidTaskData, MammoError
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions, inside, invalid, read_rows
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask
from mammo.printable import printable
from mammo.stated_facts import stated_laterality, stated_view

TABLES = ("calc_case_description_train_set.csv", "calc_case_description_test_set.csv")
COLUMNS = (
    "patient_id", "left or right breast", "image view", "calc type", "calc distribution",
    "image file path", "cropped image file path", "ROI mask file path",
)  # fmt: skip
SAME = ("patient_id", "left or right breast", "image view")
"""Columns about the image, which are equal in all of its rows."""

CLUSTERED = ("CLUSTERED", "LINEAR", "SEGMENTAL", "REGIONAL")
"""Distributions of calcifications that form a cluster."""

MAX_CANDIDATES = 200
"""Maximum number of files that are searched for a mask."""


@dataclass(frozen=True)
class _Case:
    """The rows of one image."""

    row: dict[str, str]
    line: int
    table: str
    masks: list[tuple[str, str]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Contradictions between the rows."""

    def add(self, row: dict[str, str], *, clustered: bool) -> bool:
        """Check a row, and add its mask if its calcifications are clustered; return whether it was added."""
        for column in SAME:
            if row[column].upper() != self.row[column].upper():
                self.problems.append(f"its rows state different values of {column!r}")
        if not clustered:
            return False
        paths = (row["ROI mask file path"], row["cropped image file path"])
        if any(set(paths) & set(other) for other in self.masks):
            self.problems.append("two of its rows name the same mask")
        self.masks.append(paths)
        self.classes.append(printable(row["calc type"], length=40))
        return True


def read_cbis_ddsm(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Yield the images of both tables with the masks of their clusters."""
    folder = options.folder
    tables = [
        path for name in TABLES for path in (folder / name, folder / "csv" / name) if os.path.lexists(path)
    ]
    if not tables:
        raise invalid(f"expected {' and '.join(TABLES)} in the folder or in its csv/")
    cases: dict[str, _Case] = {}
    for table in tables:
        for line, row in read_rows(table, COLUMNS):
            case = cases.setdefault(row["image file path"], _Case(row, line, table.name))
            distribution = row["calc distribution"].upper()
            if case.add(row, clustered=any(word in distribution for word in CLUSTERED)):
                continue
            reason = f"the distribution {printable(distribution or 'N/A', length=30)} is not a cluster"
            yield Refusal(f"{table.name}, line {line}", reason)
    for stated, case in cases.items():
        if not case.masks:
            continue
        try:
            if case.problems:
                raise ValueError(case.problems[0])
            yield _image(folder, stated, case)
        except (ValueError, InvalidTaskData) as error:
            yield Refusal(f"{case.table}, line {case.line}", str(error))


def _image(folder: Path, stated: str, case: _Case) -> DatasetImage:
    files = _files(folder, stated)
    if len(files) != 1:
        raise ValueError("the image is not in the folder" if not files else "several files may be the image")
    if not case.row["patient_id"]:
        raise ValueError("the patient_id is missing")
    return DatasetImage(
        file=files[0],
        where=f"{case.table}, line {case.line}",
        patient=case.row["patient_id"],
        exam=case.row["patient_id"],  # each file is a study of its own
        findings=partial(_clusters, folder, tuple(case.masks)),
        classes=tuple(case.classes),
        laterality=stated_laterality(case.row["left or right breast"]),
        view=stated_view(case.row["image view"]),
    )


def _clusters(folder: Path, masks: tuple[tuple[str, str], ...], size: Size) -> list[Finding]:
    findings = []
    for index, stated in enumerate(masks, start=1):
        mask = _mask([file for path in stated for file in _files(folder, path)], size)
        findings.append(Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"roi-{index}"))
    return findings


def _mask(candidates: list[Path], size: Size) -> Mask:
    """Return the only mask among the files of an abnormality: of the size of the image, with two values."""
    masks: list[Mask] = []
    for file in dict.fromkeys(candidates):
        try:
            read = read_mammogram(file)
        except MammoError as error:
            if error.code == "unreadable_file":
                raise
            continue  # An empty mask, or not an image.
        non_zero = read.pixels[read.pixels > 0]
        is_binary = bool(non_zero.size) and non_zero.min() == non_zero.max()  # Unlike the film.
        mask = Mask.from_full(read.pixels) if read.size == size and is_binary else None
        if mask and all(mask.dice(other) < 1 for other in masks):
            masks.append(mask)
    if len(masks) > 1:
        raise ValueError("several masks of the image's size may belong to an abnormality")
    if not masks:
        raise ValueError("no mask of the image's size is in the folder")
    return masks[0]


def _files(folder: Path, stated: str) -> list[Path]:
    """Return the file at a path of the table; if it is missing, the files of its series, or else of its case."""
    for root in (folder, folder / "CBIS-DDSM"):
        path = inside(root, stated)
        if os.path.lexists(path) and not os.path.isdir(path):  # whoever opens it says why it cannot be read
            return [path]
        case = root / PurePosixPath(stated.strip()).parts[0]
        for place, candidates in ((path.parent, path.parent.glob("*.dcm")), (case, case.rglob("*.dcm"))):
            if os.path.isdir(place) and place != root and (files := sorted(candidates)[:MAX_CANDIDATES]):
                return files
    return []
