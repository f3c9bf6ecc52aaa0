"""Phantom mammograms for tests with a PACS: as the PACS holds them, and as the site does, de-identified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from mammo.deidentification.pseudonyms import Pseudonyms
from mammo.dicom.reidentification import ImageUids
from mammo.dicom.results import Origin
from mammo.exchange.export.labelled_image import LabelledImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask
from mammo.pacs.results import Original, Originals
from tests.mammo.dicom.files import mammogram_file, with_elements

NAME, NUMBER = "DOE^JANE", "4711"
SIZE = Size(32, 48)
"""Of `mammogram_file`."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """One view, as the PACS and as the site have it."""

    original: Path
    copy: Path
    uids: Mapping[str, str]
    """Original UIDs by those of the copy."""

    copied: str
    """SOPInstanceUID of the copy."""

    image: ImageUids
    """The original."""

    @property
    def study(self) -> str:
        return self.image.study

    @property
    def instance(self) -> str:
        return self.image.instance


def phantom(folder: Path, view: str = "CC", *, study: str = "1.2.3.4") -> Phantom:
    """Write a phantom of a patient with a name, and its copy without."""
    original = folder / f"{view}.original.dcm"
    original.write_bytes(
        with_elements(
            mammogram_file(view=view, study_uid=study),
            PatientName=NAME,
            PatientID=NUMBER,
            PatientBirthDate="19600102",
            PatientIdentityRemoved=None,
            DeidentificationMethod=None,
            AccessionNumber="A1",
            StudyDate="20200304",
        )
    )
    dataset = pydicom.dcmread(original)
    pseudonyms = Pseudonyms(b"secret of the tests")
    uids = {}
    for keyword in UIDS:
        value = str(dataset[keyword].value)
        replaced = pseudonyms.uid(value)
        uids[replaced] = value
        setattr(dataset, keyword, replaced)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "", "pseudonym", ""
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "PS3.15 Annex E"
    dataset.AccessionNumber, dataset.StudyDate = "", "20200101"
    copy = folder / f"{view}.dcm"
    dataset.save_as(copy)
    values = dict(zip(("study", "series", "instance"), uids.values(), strict=True))
    return Phantom(
        original=original,
        copy=copy,
        uids=uids,
        copied=str(dataset.SOPInstanceUID),
        image=ImageUids(**values),
    )


def originals(*phantoms: Phantom) -> Originals:
    """What the site knows about its files."""
    known = {
        each.copied: Original(image=each.image, patient=NUMBER if number % 2 else "")
        for number, each in enumerate(phantoms)
    }

    def lookup(instances: Iterable[str]) -> Mapping[str, Original]:
        return {each: known[each] for each in instances if each in known}

    return lookup


def cluster(x: int = 3, y: int = 5, *, size: int = 6, **options: object) -> Finding:
    mask = Mask(np.tri(size, dtype=np.bool_), x, y)
    values = {"label": CLUSTER, "score": 1.0, "box": mask.frame, "mask": mask, "id": f"f{x}"} | options
    return Finding(**values)  # type: ignore[arg-type]


def labelled(phantom: Phantom, *findings: Finding) -> LabelledImage:
    """The image with what a person said about it."""
    return LabelledImage(
        name=phantom.copy.stem,
        file_name=phantom.copy.name,
        size=SIZE,
        findings=findings,
        origin=Origin(made_by="semiautomatic", version="m0001", person="annotator-0a1b2c3d"),
        source=phantom.copy,
        num_calcifications=(7,) * len(findings),
    )
