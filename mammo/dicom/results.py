"""What all results about a mammogram share: their origin, the header they repeat, and how findings are tracked."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.dataset import Dataset

from mammo.dicom.dataset import is_dicom, open_dataset
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.dicom.source import uid_of
from mammo.dicom.writing import derived_uid
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.findings import Finding
from mammo.masks import Mask

NAME = "Yolo-MLSAM"

TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that a result repeats and that may be empty; some sources lack them."""

_NOT_IN_LONG_STRING = re.compile(r"[\\\x00-\x1f\x7f]")


MadeBy = Literal["automatic", "semiautomatic", "manual"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Origin of findings: a model, a person who corrected a model, or a person."""

    made_by: MadeBy
    name: str = NAME
    version: str = "none"
    """The model version."""

    weights: tuple[str, ...] = ()
    """SHA-256 of the model's weight files, with what they are for, such as `detector 4f2a…`; empty if unknown."""

    person: str = ""
    """Pseudonym of the person; empty if unknown."""


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """How a finding is recognised in other results: on another image of its study, or in a newer version."""

    uid: str
    identifier: str


@dataclass(frozen=True, kw_only=True)
class Predecessor:
    """The version of a result that a newer one replaces."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, kw_only=True)
class ResultSource:
    """The identifiers and the size of a mammogram that results refer to. The UIDs may identify a patient."""

    study: str
    series: str
    instance: str
    width: int
    height: int


def result_source(source: Path | bytes) -> ResultSource:
    """Return what identifies the mammogram of a result.

    Raises:
        UnreadableImage: it cannot be read.
        UnsupportedImage: it is not a DICOM file (`not_dicom`), or its UIDs are not well formed (`no_reference`).
    """
    image = referenced_image(source)
    study, series, instance = (
        uid_of(image, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    if not (study and series and instance):
        raise no_reference("result")
    return ResultSource(
        study=study, series=series, instance=instance, width=int(image.Columns), height=int(image.Rows)
    )


def own_uids(data: bytes) -> tuple[str, str, str]:
    """Return SOPClassUID, SOPInstanceUID and SeriesInstanceUID of a result that was written here."""
    dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    return str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID)


def referenced_image(source: Path | bytes) -> Dataset:
    """Read the attributes of a mammogram without its pixels; a result repeats its patient and study.

    Raises:
        UnreadableImage: the source cannot be read.
        UnsupportedImage: the source is not a DICOM file (`not_dicom`).
    """
    data = read_bytes(source, max_bytes=MAX_BYTES)
    if not is_dicom(data):
        raise UnsupportedImage("a DICOM result needs a DICOM file as its source", code="not_dicom")
    checked = open_dataset(data, max_bytes=MAX_BYTES)  # refuses hostile files
    try:
        image = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
        if not image.SOPInstanceUID or image.Rows != checked.Rows:
            raise UnreadableImage("the DICOM file is damaged and cannot be parsed", code="parse")
        for keyword in TYPE_2:
            if keyword not in image:
                setattr(image, keyword, None)
    except UnreadableImage:
        raise
    except Exception:  # see the docstring of mammo.dicom.dataset
        raise UnreadableImage("the DICOM file is damaged and cannot be parsed", code="parse") from None
    return image


def tracking(image: Dataset, finding: Finding, number: int) -> Tracking:
    """Return the tracking identifiers of a finding. A lesion has the same ones in all views of its study.

    Args:
        image: the mammogram, as `referenced_image` returns it.
        finding: the finding.
        number: of the finding in its result, from 1; identifies a finding without an id.
    """
    lesion = finding.lesion
    name = long_string(finding.id) or f"cluster-{number}"
    return Tracking(
        uid=derived_uid(
            f"{image.StudyInstanceUID}/lesion/{lesion}" if lesion else f"{image.SOPInstanceUID}/{name}"
        ),
        identifier=long_string(lesion) or name,
    )


def digest(*said: object) -> str:
    """Return the SHA-256 of what results say: findings, masks, and whatever has a `repr` that states its value.

    With other findings, a result has other UIDs.
    """
    sha256 = hashlib.sha256()
    _add(sha256, said)
    return sha256.hexdigest()


def _add(sha256: hashlib._Hash, value: object) -> None:
    if isinstance(value, tuple | list):
        sha256.update(f"{len(value)}:".encode())
        for each in value:
            _add(sha256, each)
    elif isinstance(value, Finding):
        # Not the score of the model, which does not change what a person confirmed, nor the words shown with it.
        words = value.id, value.lesion, value.morphology, value.distribution, value.box.as_tuple()
        # Apart, so that results without them keep the digest that an earlier release gave them.
        newer = [each for each in (("suspicion", value.suspicion), ("comment", value.comment)) if each[1]]
        _add(sha256, [words, value.mask, *newer])
    elif isinstance(value, Mask):
        sha256.update(repr(value.frame.as_tuple()).encode() + value.bitmap.tobytes())
    else:
        sha256.update(f"{value!r};".encode())


@contextmanager
def without_quoting_names() -> Iterator[None]:
    """Suppress highdicom's warning about a patient's name that has one part, because it quotes the name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The string", category=UserWarning)
        yield


def no_reference(kind: str) -> UnsupportedImage:
    """Return the error for a source to which nothing can refer."""
    return UnsupportedImage(
        f"the DICOM file lacks attributes of patient, study or image that a {kind} must repeat",
        code="no_reference",
    )


def long_string(text: str) -> str:
    """Convert text to a DICOM long string: at most 64 characters, without control characters and backslashes."""
    return _NOT_IN_LONG_STRING.sub("_", text).strip()[:64].strip()
