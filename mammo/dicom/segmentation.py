"""Writes findings as a DICOM Segmentation (PS3.3 A.51, BINARY) that references its mammogram.

One segment per cluster (SNOMED CT 129769006), and one for all single calcifications (129770007) if there are any. The
type is BINARY, not LABELMAP, because current viewers and validators support it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammo.atomic_files import replacing
from mammo.dicom.limits import check_size
from mammo.dicom.results import (
    Origin,
    Predecessor,
    Tracking,
    digest,
    long_string,
    no_reference,
    referenced_image,
    tracking,
    without_quoting_names,
)
from mammo.dicom.writing import DATE, TIME, derived_uid
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.masks import Mask

CLUSTER_CODE = Code("129769006", "SCT", "Calcification Cluster")
CALCIFICATION_CODE = Code("129770007", "SCT", "Calcification")
CATEGORY = codes.SCT.MorphologicallyAbnormalStructure
AI_FAMILY = Code("123110", "DCM", "Artificial Intelligence")

MAX_SEGMENTS = 40
"""Maximum number of segments, more than one mammogram has; each needs the memory of an image while it is packed."""

ALGORITHM_TYPES = {"automatic": "AUTOMATIC", "semiautomatic": "SEMIAUTOMATIC", "manual": "MANUAL"}
"""`Origin.made_by` -> SegmentAlgorithmType."""


def write_segmentation(
    path: Path,
    findings: Sequence[Finding],
    *,
    source: Path | bytes,
    origin: Origin,
    calcifications: Sequence[Mask] = (),
    predecessor: Predecessor | None = None,
    synthetic: bool = False,
) -> None:
    """Write the masks of one mammogram as a DICOM Segmentation in the mammogram's study.

    The UIDs are functions of the source, the findings and the origin: the same call writes the same UIDs.

    Args:
        path: the file to write.
        findings: with masks inside the image.
        source: the DICOM file of the mammogram.
        origin: who made the masks.
        calcifications: masks of single calcifications; they form one segment.
        predecessor: the version that this one replaces, in the same study; see `_name_predecessor`. With it the file
            has other UIDs: a correction that is taken back is a new version too.
        synthetic: use the constant dates of `write_mammogram`, so that the same call writes the same bytes.

    Raises:
        ValueError: there is no finding or too many, or a finding is a point, has no mask, or extends beyond the image.
        UnreadableImage: the source cannot be read.
        UnsupportedImage: the source is not a DICOM file (`not_dicom`), or lacks attributes that a segmentation repeats
            (`no_reference`).
    """
    image = referenced_image(source)
    layers = _layers(findings, calcifications, check_size(int(image.Columns), int(image.Rows)))
    earlier = predecessor.sop_instance_uid if predecessor else ""
    text = f"{image.SOPInstanceUID}/{origin}/{digest(list(findings), list(calcifications))}/{earlier}"
    segments = _descriptions(image, findings, origin, with_calcifications=bool(calcifications))
    try:
        with without_quoting_names():
            segmentation = _segmentation(image, layers, segments, origin, text)
    except (AttributeError, ValueError, TypeError, KeyError):
        # highdicom copies patient and study of the source; its errors have many types and may quote a value.
        raise no_reference("segmentation") from None
    segmentation.PatientOrientation = image.get("PatientOrientation") or None
    dimensions = derived_uid(f"{text}/dimensions")  # highdicom draws a random one
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    if predecessor:
        _name_predecessor(segmentation, predecessor)
    if synthetic:
        _set_dates(segmentation)
    with replacing(path) as part:
        segmentation.save_as(part)


def _layers(findings: Sequence[Finding], calcifications: Sequence[Mask], size: Size) -> npt.NDArray[np.bool_]:
    """1 x H x W x segments: one layer per finding, and one for all calcifications if there are any."""
    if not findings or len(findings) >= MAX_SEGMENTS:
        raise ValueError(f"expected 1 to {MAX_SEGMENTS - 1} findings, got {len(findings)}")
    if any(finding.is_point for finding in findings):
        raise ValueError("a finding is marked by a point only; a segmentation needs its outline")
    layers = np.zeros((1, size.height, size.width, len(findings) + bool(calcifications)), np.bool_)
    for index, finding in enumerate(findings):
        mask = finding.mask
        if mask is None or mask.frame.intersection(size.box) != mask.frame:
            raise ValueError("every finding of a segmentation needs a mask inside the image")
        mask.paste(layers[0, :, :, index])
    for mask in calcifications:
        mask.paste(layers[0, :, :, -1])
    return layers


def _name_predecessor(segmentation: hd.seg.Segmentation, predecessor: Predecessor) -> None:
    """Name the version that a segmentation replaces: as a related image, since the IOD has no place for predecessors.

    It is in the Referenced Image Sequence (General Reference Module, PS3.3 C.12.4), without a purpose, because no code
    of CID 7201 means an earlier version; and, as every instance that is referenced, in the Common Instance Reference
    Module (PS3.3 C.12.2), there after the mammogram, which readers expect first.
    """
    segmentation.ReferencedImageSequence = [_reference(predecessor)]
    series = Dataset()
    series.SeriesInstanceUID = predecessor.series_instance_uid
    series.ReferencedInstanceSequence = [_reference(predecessor)]
    segmentation.ReferencedSeriesSequence.append(series)


def _reference(predecessor: Predecessor) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = predecessor.sop_class_uid
    reference.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
    return reference


def _set_dates(segmentation: hd.seg.Segmentation) -> None:
    """Set the constant dates of synthetic files."""
    for event in ("Content", "InstanceCreation", "Series"):
        setattr(segmentation, f"{event}Date", DATE)
        setattr(segmentation, f"{event}Time", TIME)
    for item in segmentation.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = DATE + TIME


def _descriptions(
    image: Dataset, findings: Sequence[Finding], origin: Origin, *, with_calcifications: bool
) -> list[hd.seg.SegmentDescription]:
    """One description per layer."""
    # The standard forbids an algorithm for manual segments.
    algorithm: Any = None
    if origin.made_by != "manual":
        algorithm = hd.AlgorithmIdentificationSequence(
            name=long_string(origin.name), version=long_string(origin.version), family=AI_FAMILY
        )
    segments = [
        (CLUSTER_CODE, tracking(image, finding, i), f"Cluster {i}")
        for i, finding in enumerate(findings, start=1)
    ]
    if with_calcifications:
        name = "calcifications"
        single = Tracking(uid=derived_uid(f"{image.SOPInstanceUID}/{name}"), identifier=name)
        segments.append((CALCIFICATION_CODE, single, "Calcifications"))
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=CATEGORY,
            segmented_property_type=code,
            algorithm_type=ALGORITHM_TYPES[origin.made_by],
            algorithm_identification=algorithm,
            tracking_uid=tracked.uid,
            tracking_id=tracked.identifier,
            anatomic_regions=[Code("76752008", "SCT", "Breast")],
        )
        for number, (code, tracked, label) in enumerate(segments, start=1)
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
        series_instance_uid=derived_uid(f"{text}/series"),
        series_number=100,
        sop_instance_uid=derived_uid(f"{text}/instance"),
        instance_number=1,
        manufacturer="Yolo-MLSAM",
        manufacturer_model_name="Yolo-MLSAM",
        software_versions=long_string(origin.version),
        device_serial_number="0",
        content_label="CLUSTERS",
        content_description="Microcalcification clusters",
        series_description="Microcalcification clusters",
    )
