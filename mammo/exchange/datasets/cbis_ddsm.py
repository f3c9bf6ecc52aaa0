"""CBIS-DDSM (Lee et al. 2017): calcification cases, two CSV tables, digitised film and a mask per abnormality as DICOM.

    calc_case_description_{train,test}_set.csv      here, or in `csv/`
    [CBIS-DDSM/]Calc-Training_P_00005_RIGHT_CC/<study>/<series>/*.dcm

The tables name the UIDs that folders had in 2017; later downloads carry dates instead, so a file that is not where it
was is looked for in its case's folder. In many rows the columns of crop and mask are interchanged: the mask is the one
that is as large as the image. Abnormalities without a cluster's distribution (single or diffuse calcifications) are
refused, and an image with no other is left out: it is no example of a cluster and none of a breast without.
"""

from __future__ import annotations

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
"""Columns that are of the image, and so alike in all its rows."""

CLUSTERED = ("CLUSTERED", "LINEAR", "SEGMENTAL", "REGIONAL")
MAX_CANDIDATES = 200


@dataclass(frozen=True)
class _Case:
    """The rows of one image."""

    row: dict[str, str]
    line: int
    table: str
    masks: list[tuple[str, str]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Why the rows cannot be believed together."""


def read_cbis_ddsm(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """The images of both tables, each with the masks of its clusters."""
    folder = options.folder
    tables = [path for name in TABLES for path in (folder / name, folder / "csv" / name) if path.is_file()]
    if not tables:
        raise invalid(f"expected {' and '.join(TABLES)} in the folder or in its csv/")
    cases: dict[str, _Case] = {}
    for table in tables:
        for line, row in read_rows(table, COLUMNS):
            case = cases.setdefault(row["image file path"], _Case(row, line, table.name))
            for column in SAME:
                if row[column].upper() != case.row[column].upper():
                    case.problems.append(f"its rows state different values of {column!r}")
            distribution = row["calc distribution"].upper()
            if not any(word in distribution for word in CLUSTERED):
                reason = f"distribution {printable(distribution or 'N/A', length=30)} is no cluster"
                yield Refusal(f"{table.name}, line {line}", reason)
                continue
            named = (row["ROI mask file path"], row["cropped image file path"])
            if any(set(named) & set(other) for other in case.masks):
                case.problems.append("two of its rows name the same mask")
            case.masks.append(named)
            case.classes.append(printable(row["calc type"], length=40))
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
        raise ValueError("there is no patient_id")
    return DatasetImage(
        file=files[0],
        where=f"{case.table}, line {case.line}",
        patient=case.row["patient_id"],
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
    """The one mask among the files of an abnormality: as large as the image, and of two values."""
    found: list[Mask] = []
    for file in dict.fromkeys(candidates):
        try:
            read = read_mammogram(file)
        except MammoError:
            continue  # an empty mask, or something else than an image
        painted = read.pixels[read.pixels > 0]
        two_values = bool(painted.size) and painted.min() == painted.max()  # and not the film itself
        mask = Mask.from_full(read.pixels) if read.size == size and two_values else None
        if mask and all(mask.dice(other) < 1 for other in found):
            found.append(mask)
    if len(found) > 1:
        raise ValueError("several masks of the size of the image may be an abnormality's")
    if not found:
        raise ValueError("no mask of the size of the image is in the folder")
    return found[0]


def _files(folder: Path, stated: str) -> list[Path]:
    """The file at a stated path; else those of its series; else those of its case, wherever it now lies."""
    for root in (folder, folder / "CBIS-DDSM"):
        path = inside(root, stated)
        if path.is_file():
            return [path]
        case = root / PurePosixPath(stated.strip()).parts[0]
        for place, found in ((path.parent, path.parent.glob("*.dcm")), (case, case.rglob("*.dcm"))):
            if place.is_dir() and place != root and (files := sorted(found)[:MAX_CANDIDATES]):
                return files
    return []
