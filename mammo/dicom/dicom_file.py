"""A DICOM file becomes a StoredImage, if it is a plain 2-D mammogram that is meant to be looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset

from mammo.dicom import projection
from mammo.dicom.dataset import integer, numbers, open_dataset, text
from mammo.dicom.decoding import decode
from mammo.dicom.for_processing import detector_scale, presentable
from mammo.dicom.identity import identifiers, identifying
from mammo.dicom.pixel_format import PixelFormat, pixel_format
from mammo.dicom.source import source_of
from mammo.dicom.spacing import spacing_of
from mammo.dicom.stored_image import StoredImage
from mammo.dicom.voi import voi_of
from mammo.errors import InvalidTaskData, UnreadableImage, UnsupportedImage
from mammo.geometry import Spacing
from mammo.identifiers import identifier

ACCEPTED = {
    "1.2.840.10008.5.1.4.1.1.1.2": "Digital Mammography, For Presentation",
    "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray, For Presentation",
    "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture (digitised film)",
}
FOR_PROCESSING = {"1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.1.1.1"}
TOMOSYNTHESIS = {f"1.2.840.10008.5.1.4.1.1.13.1.{kind}" for kind in (3, 4, 5)}
DICOMDIR = "1.2.840.10008.1.3.10"
MIN_SLOPE = 1e-6
MODALITIES = {"", "MG", "DX", "CR", "SC", "OT", "RG"}


def read_dicom(
    data: bytes, *, spacing: float | Spacing | None, max_bytes: int, convert_for_processing: bool = False
) -> StoredImage:
    """Read one DICOM file.

    Args:
        convert_for_processing: make raw detector values presentable instead of refusing them.

    Raises:
        UnreadableImage: the file is damaged, or larger than we read.
        UnsupportedImage: a sound file of a kind that this system does not take; `code` names it.
    """
    dataset = open_dataset(data, max_bytes=max_bytes)
    raw = check_kind(dataset)
    if raw and not convert_for_processing:
        raise UnsupportedImage(
            "raw detector values (For Processing) are not read unless conversion is asked for; "
            "send the For Presentation image",
            code="for_processing",
        )
    stored = stored_image(dataset, spacing=spacing)
    return presentable(stored, detector_scale(dataset)) if raw else stored


def stored_image(dataset: FileDataset, *, spacing: float | Spacing | None) -> StoredImage:
    """Decode a data set whose kind was checked; the errors are those of `read_dicom`."""
    form = pixel_format(dataset)
    levels = decode(dataset, form)
    padding = _padding(dataset, levels, form)
    seen = levels if padding is None else levels[~padding]
    if not seen.size or seen.min() == seen.max():
        raise UnreadableImage(
            "every pixel has the same value: there is nothing to see", code="constant_image"
        )
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


def check_kind(dataset: FileDataset) -> bool:
    """True when the image is raw detector values (For Processing), False when it is meant to be looked at.

    Raises:
        UnreadableImage: `truncated` or `missing_attribute`.
        UnsupportedImage: `dicomdir`, `tomosynthesis`, `wrong_sop_class` or `wrong_modality`.
    """
    sop_class = sop_class_of(dataset)
    if sop_class == DICOMDIR:
        raise UnsupportedImage(
            "a DICOMDIR is a table of contents; send the images themselves", code="dicomdir"
        )
    if not len(dataset):  # pydicom gives up everything when the file ends inside an element of unknown length
        raise UnreadableImage("the DICOM file ends too early", code="truncated")
    if sop_class in TOMOSYNTHESIS:
        raise UnsupportedImage("tomosynthesis is not read; send the 2-D view", code="tomosynthesis")
    if not sop_class:
        raise UnreadableImage("the DICOM file has no SOPClassUID", code="missing_attribute")
    if sop_class not in ACCEPTED and sop_class not in FOR_PROCESSING:
        raise UnsupportedImage(
            "not a mammogram: expected one of " + ", ".join(ACCEPTED.values()), code="wrong_sop_class"
        )
    if text(dataset, "Modality").upper() not in MODALITIES:
        raise UnsupportedImage("expected Modality MG, DX, CR, SC, OT or RG", code="wrong_modality")
    return sop_class in FOR_PROCESSING or text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING"


def sop_class_of(dataset: FileDataset) -> str:
    """UID of the SOP class, from the meta header where the data set does not say."""
    return text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")


def _patient_id(dataset: FileDataset) -> str:
    """The PatientID in the form that is compared; empty when there is none."""
    try:
        return identifier(text(dataset, "PatientID")) or ""
    except InvalidTaskData as error:
        raise UnreadableImage(f"its PatientID: {error}", code="identifier") from None


def _padding(
    dataset: FileDataset, levels: npt.NDArray[np.uint16], form: PixelFormat
) -> npt.NDArray[np.bool_] | None:
    """Where PixelPaddingValue (to PixelPaddingRangeLimit) marks pixels outside the image; None where it does not."""
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
    """The level of a stored value as the pixels mean it; many writers label a signed one unsigned."""
    if not form.signed:
        return value
    return (value - 2**16 if value >= 2**15 else value) + (1 << (form.bits_stored - 1))


def _rescale(dataset: FileDataset) -> tuple[float, float]:
    """Slope and intercept, 1 and 0 in a conformant mammogram; implausible ones are not believed."""
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if not (len(slope) == 1 and MIN_SLOPE <= abs(slope[0]) <= 1 / MIN_SLOPE):
        return 1.0, 0.0
    return slope[0], intercept[0] if len(intercept) == 1 and abs(intercept[0]) <= 1 / MIN_SLOPE else 0.0
