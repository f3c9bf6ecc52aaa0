"""Reads a DICOM file into a StoredImage, if it is a 2-D mammogram for presentation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset

from mammo.dicom import projection
from mammo.dicom.dataset import integer, numbers, open_dataset, text
from mammo.dicom.decoding import decode
from mammo.dicom.for_processing import detector_scale, to_presentation
from mammo.dicom.identity import identifiers, identifying
from mammo.dicom.pixel_format import PixelFormat, pixel_format
from mammo.dicom.source import source_of
from mammo.dicom.spacing import spacing_of
from mammo.dicom.stored_image import StoredImage
from mammo.dicom.voi import voi_of
from mammo.errors import InvalidTaskData, UnreadableImage, UnsupportedImage
from mammo.geometry import Spacing
from mammo.identifiers import identifier

PRESENTATION = {
    "1.2.840.10008.5.1.4.1.1.1.2": "Digital Mammography, For Presentation",
    "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray, For Presentation",
    "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture (digitised film)",
}
"""SOP classes of images for presentation, by UID."""

FOR_PROCESSING = {"1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.1.1.1"}
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
TOMOSYNTHESIS = {f"1.2.840.10008.5.1.4.1.1.13.1.{kind}" for kind in (3, 4, 5)}
DICOMDIR = "1.2.840.10008.1.3.10"
MIN_SLOPE = 1e-6
"""Smallest plausible RescaleSlope; the largest is its reciprocal."""

MODALITIES = {"", "MG", "DX", "CR", "SC", "OT", "RG"}


def read_dicom(
    data: bytes, *, spacing: float | Spacing | None, max_bytes: int, convert_for_processing: bool = False
) -> StoredImage:
    """Read one DICOM file.

    Args:
        data: the file.
        spacing: see `spacing_of`.
        max_bytes: maximum size of an inflated data set.
        convert_for_processing: convert raw detector values for presentation instead of refusing them.

    Raises:
        UnreadableImage: the file is damaged or exceeds a limit.
        UnsupportedImage: the file is valid, but of an unsupported kind; `code` names it.
    """
    dataset = open_dataset(data, max_bytes=max_bytes)
    is_raw = is_for_processing(dataset)
    if is_raw and not convert_for_processing:
        raise UnsupportedImage(
            "got raw detector values (For Processing), which are read only when their conversion is enabled; "
            "send the For Presentation image",
            code="for_processing",
        )
    stored = stored_image(dataset, spacing=spacing)
    return to_presentation(stored, detector_scale(dataset)) if is_raw else stored


def stored_image(dataset: FileDataset, *, spacing: float | Spacing | None) -> StoredImage:
    """Decode a data set that `is_for_processing` accepted; raises the errors of `read_dicom`."""
    form = pixel_format(dataset)
    levels = decode(dataset, form)
    padding = _padding(dataset, levels, form)
    image = levels if padding is None else levels[~padding]
    if not image.size or image.min() == image.max():
        raise UnreadableImage("every pixel has the same value: the image is empty", code="constant_image")
    slope, intercept = _rescale(dataset)
    return StoredImage(
        levels=levels,
        depth=form.bits_stored,
        offset=-(2 ** (form.bits_stored - 1)) if form.signed else 0,
        slope=slope,
        intercept=intercept,
        inverted=form.inverted,
        padding=padding,
        voi=voi_of(dataset),
        spacing=spacing_of(dataset, given=spacing),
        laterality=projection.laterality(dataset),
        view=projection.view(dataset),
        patient_id=_patient_id(dataset),
        identifying=identifying(dataset),
        identifiers=identifiers(dataset),
        source=source_of(dataset),
    )


def is_for_processing(dataset: FileDataset) -> bool:
    """Whether a mammogram holds raw detector values (For Processing), not an image for presentation.

    Raises:
        UnreadableImage: `truncated` or `missing_attribute`.
        UnsupportedImage: `dicomdir`, `tomosynthesis`, `segmentation`, `wrong_sop_class` or `wrong_modality`.
    """
    sop_class = sop_class_of(dataset)
    if sop_class == DICOMDIR:
        raise UnsupportedImage(
            "got a DICOMDIR, which lists images; send the images themselves", code="dicomdir"
        )
    if not len(dataset):  # pydicom returns no element when the file ends inside one of undefined length
        raise UnreadableImage("the DICOM file ends too early", code="truncated")
    if sop_class in TOMOSYNTHESIS:
        raise UnsupportedImage("tomosynthesis is not supported; send the 2-D view", code="tomosynthesis")
    if sop_class == SEGMENTATION:
        raise UnsupportedImage(
            "a DICOM Segmentation, which marks findings on a mammogram", code="segmentation"
        )
    if not sop_class:
        raise UnreadableImage("the DICOM file has no SOPClassUID", code="missing_attribute")
    if sop_class not in PRESENTATION and sop_class not in FOR_PROCESSING:
        raise UnsupportedImage(
            "not a mammogram; expected one of " + ", ".join(PRESENTATION.values()), code="wrong_sop_class"
        )
    if text(dataset, "Modality").upper() not in MODALITIES:
        raise UnsupportedImage(
            "not a mammogram; expected Modality MG, DX, CR, SC, OT or RG", code="wrong_modality"
        )
    return sop_class in FOR_PROCESSING or text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING"


def sop_class_of(dataset: FileDataset) -> str:
    """UID of the SOP class: from the data set, else from the meta header."""
    return text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")


def _patient_id(dataset: FileDataset) -> str:
    """The normalised PatientID; empty when there is none."""
    try:
        return identifier(text(dataset, "PatientID")) or ""
    except InvalidTaskData as error:
        raise UnreadableImage(f"PatientID: {error}", code="identifier") from None


def _padding(
    dataset: FileDataset, levels: npt.NDArray[np.uint16], form: PixelFormat
) -> npt.NDArray[np.bool_] | None:
    """H x W, True where PixelPaddingValue (to PixelPaddingRangeLimit) marks padding; None without padding."""
    value = integer(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer(dataset, "PixelPaddingRangeLimit")
    low, high = sorted(_level(end, form) for end in (value, value if limit is None else limit))
    top = 2**form.bits_stored - 1
    if high < 0 or low > top:
        return None
    padding = (levels >= max(low, 0)) & (levels <= min(high, top))
    return padding if padding.any() else None


def _level(value: int, form: PixelFormat) -> int:
    """The level of a stored value; many writers encode a signed value as unsigned."""
    if not form.signed:
        return value
    return (value - 2**16 if value >= 2**15 else value) + (1 << (form.bits_stored - 1))


def _rescale(dataset: FileDataset) -> tuple[float, float]:
    """RescaleSlope and RescaleIntercept, 1 and 0 in a conformant mammogram; implausible values are ignored."""
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if not (len(slope) == 1 and MIN_SLOPE <= abs(slope[0]) <= 1 / MIN_SLOPE):
        return 1.0, 0.0
    return slope[0], intercept[0] if len(intercept) == 1 and abs(intercept[0]) <= 1 / MIN_SLOPE else 0.0
