"""Reads what `write_segmentation` wrote, by highdicom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np

from mammo.dicom.segmentation import CALCIFICATION_CODE, CLUSTER_CODE
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    image: str
    """SOPInstanceUID of the segmented image."""

    size: Size
    findings: tuple[Finding, ...]
    calcifications: Mask | None
    tracking_uids: tuple[str, ...]
    predecessor: str
    """SOPInstanceUID of the segmentation that this one replaces; empty if it replaces none."""


def read_segmentation(path: Path) -> Segmentation:
    read = hd.seg.segread(path)
    images = {
        str(source.ReferencedSOPInstanceUID)
        for frame in read.PerFrameFunctionalGroupsSequence
        for derivation in frame.DerivationImageSequence
        for source in derivation.SourceImageSequence
    }
    (image,) = images
    assert str(read.get_source_image_uids()[0][2]) == image, "the first one that is referenced"
    findings, trackers = [], []
    calcifications: Mask | None = None
    for number in read.segment_numbers:
        segment = read.get_segment_description(number)
        pixels = read.get_pixels_by_source_instance(
            source_sop_instance_uids=[image], segment_numbers=[number], dtype=np.uint8
        )
        mask = Mask.from_full(pixels[0, :, :, 0])
        assert mask is not None
        if segment.segmented_property_type.value == CALCIFICATION_CODE.value:
            calcifications = mask
            continue
        assert segment.segmented_property_type.value == CLUSTER_CODE.value
        findings.append(
            Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=str(segment.tracking_id))
        )
        trackers.append(str(segment.tracking_uid))
    return Segmentation(
        image=image,
        size=Size(int(read.Columns), int(read.Rows)),
        findings=tuple(findings),
        calcifications=calcifications,
        tracking_uids=tuple(trackers),
        predecessor="".join(
            str(each.ReferencedSOPInstanceUID) for each in read.get("ReferencedImageSequence") or ()
        ),
    )
