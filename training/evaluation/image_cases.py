"""The images of `evaluate images`, as cases: a folder of normals, and positives with a COCO file or mini-MIAS table."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from mammo.detector import DetectorSpec, find_breast, resample, scale_to
from mammo.detector.normalise import CELL
from mammo.detector.tiling import MAX_PIXELS
from mammo.dicom import Mammogram, patient_key, read_mammogram
from mammo.dicom.dataset import is_dicom
from mammo.errors import InsufficientData, InvalidSettings, MammoError
from mammo.exchange.datasets.coco import read_coco
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions
from mammo.exchange.datasets.folder import IMAGES
from mammo.exchange.datasets.mias import TABLE, read_mias
from mammo.exchange.export.labelled_image import Refusal
from mammo.file_names import files_of, require_text
from mammo.findings import Finding
from mammo.geometry import Spacing
from mammo.input_files import open_input
from mammo.printable import printable
from mammo.stated_facts import stated_spacing
from training.cases import Case, Progress
from training.evaluation.patient_grouping import PatientGrouping

COCO_FILE = "annotations.json"
MAX_NAME = 120
MIN_NORMALS = 10
NO_LESION = "NORM"
"""Class of mini-MIAS images without a lesion."""


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Where the images are, and what they do not say themselves."""

    normals: Path | None
    """Folder of images without lesions."""

    positives: Path | None
    """COCO JSON, mini-MIAS table, or a folder with `annotations.json` or `Info.txt`."""

    spacing_mm: float | None
    """Pixel spacing of images that state none."""

    patients: PatientGrouping
    label: str | None = None
    """COCO: the category that means a cluster; None: by its name."""


@dataclass(frozen=True, kw_only=True)
class EvaluationImage:
    """One image with its truth, and what figures in mm need."""

    name: str
    """Path in its folder, printable."""

    case: Case
    spacing: Spacing
    breast_cm2: float
    """Area of the breast, as the detector finds it."""

    @property
    def is_normal(self) -> bool:
        return not (self.case.truth or self.case.uncertain)


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """The images that are measured on, and those that are not."""

    images: tuple[EvaluationImage, ...]
    left_out: tuple[Refusal, ...]
    on_normals: bool
    """Whether false positives count on normal images only: if a folder of normals was given, or the positives' file
    names at least `MIN_NORMALS`. A rate over fewer would be that of a few images."""

    @property
    def cases(self) -> list[Case]:
        return [image.case for image in self.images]

    @property
    def by_image(self) -> dict[str, EvaluationImage]:
        """The images by their SHA-256."""
        return {image.case.image: image for image in self.images}

    @property
    def num_normals(self) -> int:
        return sum(image.is_normal for image in self.images)


def read_evaluation_set(source: ImageSource, *, progress: Progress) -> EvaluationSet:
    """Read every image once: its spacing, patient, truth and breast; what is refused is refused before hours of work.

    An image that the file of the positives calls clean (COCO without an annotation, mini-MIAS `NORM`) is a normal.

    Raises:
        InvalidSettings: neither normals nor positives are given, an image has no pixel spacing, an image is both normal
            and positive, or the patient rule does not cover a file.
        InsufficientData: no image is left of the normals, or none with a lesion of the positives.
        MammoError: the positives cannot be read (code `invalid_dataset`).
    """
    if source.normals is None and source.positives is None:
        raise InvalidSettings("give --normals FOLDER, --positives FILE-OR-FOLDER or both")
    items: list[tuple[Path, DatasetImage | Refusal]] = []
    if source.normals is not None:
        items += [(source.normals, item) for item in _normals(source.normals)]
    if source.positives is not None:
        folder, positives = _positives(source.positives, source.label)
        items += [(folder, item) for item in positives]
    reading = _Reading(source)
    for number, (folder, item) in enumerate(items, start=1):
        if isinstance(item, Refusal):
            reading.left_out.append(item)
        else:
            reading.read(item, folder=folder)
        progress(number / len(items), f"reading {number} of {len(items)} files")
    return reading.result()


def _normals(folder: Path) -> Iterator[DatasetImage | Refusal]:
    for path in files_of([folder]):
        if path.suffix.lower() not in IMAGES and not (path.suffix == "" and _may_be_dicom(path)):
            continue
        name = path.relative_to(folder).as_posix()
        yield DatasetImage(file=path, where=name, patient="", findings=lambda size: [], trusts_file=True)


def _may_be_dicom(path: Path) -> bool:
    """Whether a file is DICOM, or cannot be opened, which its reader will report."""
    try:
        with open_input(path) as file:
            return is_dicom(file.read(4096))
    except OSError:
        return True


def _positives(path: Path, label: str | None) -> tuple[Path, Iterator[DatasetImage | Refusal]]:
    """Return the folder of the positives, and its images."""
    document = _document(path)
    kind = "coco" if document.suffix.lower() == ".json" else "mias"
    options = DatasetOptions(kind=kind, folder=document.parent, document=document, label=label)
    return document.parent, (read_coco if kind == "coco" else read_mias)(options)


def _document(path: Path) -> Path:
    """Return the file that describes the positives."""
    if not os.path.isdir(path):
        return path
    usual = [each for each in (path / COCO_FILE, path / "coco.json", path / TABLE) if os.path.isfile(each)]
    found = usual or sorted(path.glob("*.json"))
    if len(found) != 1:
        raise InvalidSettings(
            f"expected one of {COCO_FILE} and {TABLE} in {printable(path.name)}, got {len(found)}; name the file "
            "itself: --positives FILE"
        )
    return found[0]


@dataclass
class _Reading:
    """State of one call of `read_evaluation_set`."""

    source: ImageSource
    images: dict[str, EvaluationImage] = field(default_factory=dict)
    """By SHA-256."""

    left_out: list[Refusal] = field(default_factory=list)
    without_spacing: list[str] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    """Number of each patient, by key."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """Of the patient keys, which do not leave this process: reports number the patients."""

    def read(self, item: DatasetImage, *, folder: Path) -> None:
        """Read one image below a folder, or note why it is left out."""
        given = stated_spacing(item.spacing_mm) or stated_spacing(self.source.spacing_mm)
        read = partial(read_mammogram, item.file, spacing=given, patient_secret=self.secret)
        try:
            require_text(item.file)
            mammogram = read()
            truth = _truth(item, mammogram)
        except (MammoError, ValueError) as error:
            self.left_out.append(Refusal(printable(item.where, length=MAX_NAME), str(error)))
            return
        name = item.file.relative_to(folder).as_posix()
        if mammogram.spacing is None:
            self.without_spacing.append(printable(name))
            return
        key = mammogram.patient or patient_key(
            self.source.patients.of(name, stated=item.patient, path=item.file), self.secret
        )
        patient = self.numbers.setdefault(key, f"patient-{len(self.numbers) + 1:04d}")
        case = Case(
            image=mammogram.sha256, patient=patient, read=read, truth=truth, reading=f"spacing {given}"
        )
        self._add(printable(name, length=MAX_NAME), case, mammogram)

    def _add(self, name: str, case: Case, mammogram: Mammogram) -> None:
        assert mammogram.spacing is not None, "checked by the caller"
        same = self.images.get(case.image)
        if same is not None:
            if bool(same.case.truth) != bool(case.truth):
                raise InvalidSettings(
                    f"{same.name} and {name} are the same image, once as a normal and once with lesions; remove one"
                )
            self.left_out.append(Refusal(name, f"it is the same image as {same.name}"))
            return
        self.images[case.image] = EvaluationImage(
            name=name, case=case, spacing=mammogram.spacing, breast_cm2=breast_area(mammogram)
        )

    def result(self) -> EvaluationSet:
        if self.without_spacing:
            raise InvalidSettings(
                f"{len(self.without_spacing)} images state no pixel spacing, for example {self.without_spacing[0]}; "
                "give it in millimetres: --spacing MM"
            )
        normals = sum(image.is_normal for image in self.images.values())
        if self.source.normals is not None and not normals:
            raise self._nothing_left("normal image")
        if self.source.positives is not None and normals == len(self.images):
            raise self._nothing_left("image with a lesion")
        return EvaluationSet(
            images=tuple(self.images.values()),
            left_out=tuple(self.left_out),
            on_normals=self.source.normals is not None or normals >= MIN_NORMALS,
        )

    def _nothing_left(self, kind: str) -> InsufficientData:
        reason = self.left_out[0] if self.left_out else "no image and no row was found; check the paths"
        return InsufficientData(f"there is no {kind} to measure on: {reason}")


def _truth(item: DatasetImage, mammogram: Mammogram) -> tuple[Finding, ...]:
    """Return the clusters of an image.

    Raises:
        ValueError: they do not fit the image, or its only findings are other lesions.
        MammoError: see `DatasetImage.findings`.
    """
    truth = tuple(item.findings(mammogram.size))
    if truth and mammogram.turned:
        raise ValueError(
            "its file states an orientation, so it is unknown which way up its lesions were drawn"
        )
    if not truth and set(item.classes) - {NO_LESION}:
        named = printable(", ".join(sorted(set(item.classes))), length=60)
        raise ValueError(f"it shows {named} only, so it is neither a positive nor a normal")
    return truth


def breast_area(mammogram: Mammogram) -> float:
    """Return the area of the breast in cm², as the detector finds it in the resampled image.

    Raises:
        ValueError: the mammogram has no pixel spacing.
    """
    if mammogram.spacing is None:
        raise ValueError("an area in cm² needs a pixel spacing")
    scale = scale_to(
        DetectorSpec().spacing_mm, spacing=mammogram.spacing, size=mammogram.size, max_pixels=MAX_PIXELS
    )
    cells = find_breast(resample(mammogram.pixels, scale)).cells
    full = np.repeat(np.repeat(cells, CELL, axis=0), CELL, axis=1)[: scale.size.height, : scale.size.width]
    spacing = scale.spacing(mammogram.spacing)
    assert spacing is not None, "the mammogram has one"
    return float(np.count_nonzero(full)) * (spacing.row_mm / 10) * (spacing.column_mm / 10)
