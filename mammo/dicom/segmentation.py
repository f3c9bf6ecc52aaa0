"""Findings become a DICOM Segmentation (PS3.3 A.51, BINARY) that points back to its mammogram.

One segment per cluster (SNOMED CT 129769006), and one for all single calcifications (129770007) where they are known.
BINARY and not LABELMAP: viewers and validators of today read it.
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from mammo.atomic_files import replacing
from mammo.dicom.dataset import is_dicom, open_dataset
from mammo.dicom.limits import MAX_BYTES, check_size, read_bytes
from mammo.dicom.writing import DATE, TIME, UID_NAMESPACE
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.findings import Finding
from mammo.masks import Mask

CLUSTER_CODE = Code("129769006", "SCT", "Calcification Cluster")
CALCIFICATION_CODE = Code("129770007", "SCT", "Calcification")
CATEGORY = codes.SCT.MorphologicallyAbnormalStructure
LEARNED = Code("123110", "DCM", "Artificial Intelligence")

MAX_SEGMENTS = 40
"""More clusters than one mammogram has; each costs an image's worth of memory while it is packed."""

MADE_BY = {"automatic": "AUTOMATIC", "semiautomatic": "SEMIAUTOMATIC", "manual": "MANUAL"}

TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that a result repeats and that may be empty; some sources have lost them."""

_UNFIT = re.compile(r"[\\\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who made the masks: a model alone, a person who corrected a model, or a person."""

    made_by: Literal["automatic", "semiautomatic", "manual"]
    name: str = "Yolo-MLSAM"
    version: str = "none"
    """The model version."""


def write_segmentation(
    path: Path,
    findings: Sequence[Finding],
    *,
    source: Path | bytes,
    origin: Origin,
    calcifications: Sequence[Mask] = (),
    synthetic: bool = False,
) -> None:
    """Write the masks of one mammogram as a DICOM Segmentation in the mammogram's study.

    The UIDs follow from the source, the findings and the origin: the same call gives the same UIDs.

    Args:
        findings: with masks inside the image.
        source: the DICOM file they were found in.
        calcifications: single calcifications; become one segment.
        synthetic: date it like the synthetic files of `write_mammogram`, so that the bytes are the same every time.

    Raises:
        ValueError: no finding or more than `MAX_SEGMENTS`, one without a mask or reaching out of the image, or one that
            only a point marks.
        UnreadableImage: the source cannot be read.
        UnsupportedImage: the source is no DICOM file (`not_dicom`), or lacks what a reference to it needs
            (`no_reference`).
    """
    image = _header(source)
    size = check_size(int(image.Columns), int(image.Rows))
    masks = [finding.mask for finding in findings]
    if not findings or len(findings) >= MAX_SEGMENTS:
        raise ValueError(f"expected 1 to {MAX_SEGMENTS - 1} findings, got {len(findings)}")
    if any(finding.is_point for finding in findings):
        raise ValueError("a finding is marked by a point only, and a segmentation needs its outline")
    if any(mask is None or mask.frame.intersection(size.box) != mask.frame for mask in masks):
        raise ValueError("every finding of a segmentation needs a mask inside the image")
    layers = np.zeros((1, size.height, size.width, len(masks) + bool(calcifications)), np.bool_)
    for index, mask in enumerate(masks):
        assert mask is not None, "checked above"
        mask.paste(layers[0, :, :, index])
    for mask in calcifications:
        mask.paste(layers[0, :, :, -1])
    text = f"{image.SOPInstanceUID}/{origin}/{[finding.box.as_tuple() for finding in findings]}"
    segments = _descriptions(image, findings, origin, with_calcifications=bool(calcifications))
    try:
        made = _segmentation(image, layers, segments, origin, text)
    except (AttributeError, ValueError, TypeError, KeyError):
        # highdicom copies patient and study of the source and complains in many ways; its text may quote a value
        raise UnsupportedImage(
            "the DICOM file lacks attributes of patient, study or image that a result must repeat",
            code="no_reference",
        ) from None
    made.PatientOrientation = image.get("PatientOrientation") or None
    dimensions = _uid(f"{text}/dimensions")  # highdicom draws one by chance
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    if synthetic:
        for of in ("Content", "InstanceCreation", "Series"):
            setattr(made, f"{of}Date", DATE)
            setattr(made, f"{of}Time", TIME)
        for item in made.get("ContributingEquipmentSequence", ()):
            item.ContributionDateTime = DATE + TIME
    with replacing(path) as part:
        made.save_as(part)


def _header(source: Path | bytes) -> Dataset:
    """Everything but the pixels of the source: a result repeats its patient and study."""
    data = read_bytes(source, max_bytes=MAX_BYTES)
    if not is_dicom(data):
        raise UnsupportedImage("only a DICOM file can have a DICOM Segmentation", code="not_dicom")
    checked = open_dataset(data, max_bytes=MAX_BYTES)  # refuses bombs and nests
    try:
        image = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
        if not image.SOPInstanceUID or image.Rows != checked.Rows:
            raise UnreadableImage("the DICOM file is damaged and cannot be parsed", code="parse")
        for keyword in TYPE_2:
            if keyword not in image:
                setattr(image, keyword, None)
    except UnreadableImage:
        raise
    except Exception:  # see mammo.dicom.dataset: pydicom has no exception tree
        raise UnreadableImage("the DICOM file is damaged and cannot be parsed", code="parse") from None
    return image


def _descriptions(
    image: Dataset, findings: Sequence[Finding], origin: Origin, *, with_calcifications: bool
) -> list[hd.seg.SegmentDescription]:
    # a manual segment has no algorithm, and the standard wants none there
    algorithm: Any = None
    if origin.made_by != "manual":
        algorithm = hd.AlgorithmIdentificationSequence(
            name=_line(origin.name), version=_line(origin.version), family=LEARNED
        )
    named = [
        (CLUSTER_CODE, _line(finding.id) or f"cluster-{i}", f"Cluster {i}")
        for i, finding in enumerate(findings, start=1)
    ]
    if with_calcifications:
        named.append((CALCIFICATION_CODE, "calcifications", "Calcifications"))
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=CATEGORY,
            segmented_property_type=code,
            algorithm_type=MADE_BY[origin.made_by],
            algorithm_identification=algorithm,
            tracking_uid=_uid(f"{image.SOPInstanceUID}/{name}"),
            tracking_id=name,
            anatomic_regions=[Code("76752008", "SCT", "Breast")],
        )
        for number, (code, name, label) in enumerate(named, start=1)
    ]


def _segmentation(
    image: Dataset,
    layers: npt.NDArray[np.bool_],
    segments: list[hd.seg.SegmentDescription],
    origin: Origin,
    text: str,
) -> hd.seg.Segmentation:
    return hd.seg.Segmentation(
        source_images=[image],
        pixel_array=layers,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=_uid(f"{text}/series"),
        series_number=100,
        sop_instance_uid=_uid(f"{text}/instance"),
        instance_number=1,
        manufacturer="Yolo-MLSAM",
        manufacturer_model_name="Yolo-MLSAM",
        software_versions=_line(origin.version),
        device_serial_number="0",
        content_label="CLUSTERS",
        content_description="Microcalcification clusters",
        series_description="Microcalcification clusters",
    )


def _line(text: str) -> str:
    """Text as a DICOM long string: 64 characters, none of them special."""
    return _UNFIT.sub("_", text).strip()[:64].strip()


def _uid(text: str) -> UID:
    """A UID of PS3.5 B.2 that is a function of a text."""
    return UID(f"2.25.{uuid.uuid5(UID_NAMESPACE, text).int}")
