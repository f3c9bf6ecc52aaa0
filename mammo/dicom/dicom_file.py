"""A DICOM file becomes a StoredImage, if it is a plain 2-D mammogram that is meant to be looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset

from mammo.dicom import projection
from mammo.dicom.dataset import integer, numbers, open_dataset, text
from mammo.dicom.decoding import PixelFormat, decode, pixel_format
from mammo.dicom.spacing import spacing_of
from mammo.dicom.stored_image import StoredImage
from mammo.dicom.voi import voi_of
from mammo.errors import UnreadableImage, UnsupportedImage

ACCEPTED = {
    "1.2.840.10008.5.1.4.1.1.1.2": "Digital Mammography, For Presentation",
    "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray, For Presentation",
    "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture (digitised film)",
}
FOR_PROCESSING = {"1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.1.1.1"}
TOMOSYNTHESIS = {f"1.2.840.10008.5.1.4.1.1.13.1.{kind}" for kind in (3, 4, 5)}
DICOMDIR = "1.2.840.10008.1.3.10"
MODALITIES = {"", "MG", "DX", "CR", "SC", "OT", "RG"}


def read_dicom(data: bytes, *, spacing: float | None, max_bytes: int) -> StoredImage:
    """Read one DICOM file.

    Raises:
        UnreadableImage: the file is damaged, or larger than we read.
        UnsupportedImage: a sound file of a kind that this system does not take; `code` names it.
    """
    dataset = open_dataset(data, max_bytes=max_bytes)
    _check_kind(dataset)
    form = pixel_format(dataset)
    values = decode(dataset, form)
    padding = _padding(dataset, values, form)
    seen = values if padding is None else values[~padding]
    if not seen.size or seen.min() == seen.max():
        raise UnreadableImage(
            "every pixel has the same value: there is nothing to see", code="constant_image"
        )
    offset = -(2 ** (form.bits_stored - 1)) if form.signed else 0
    slope, intercept = _rescale(dataset)
    return StoredImage(
        levels=(values - offset).astype(np.uint16),
        depth=form.bits_stored,
        offset=offset,
        slope=slope,
        intercept=intercept,
        inverted=form.inverted,
        padding=padding,
        voi=voi_of(dataset),
        spacing=spacing_of(dataset, given=spacing),
        laterality=projection.laterality(dataset),
        view=projection.view(dataset),
        patient_id=text(dataset, "PatientID"),
    )


def _check_kind(dataset: FileDataset) -> None:
    sop_class = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    if sop_class == DICOMDIR:
        raise UnsupportedImage(
            "a DICOMDIR is a table of contents; send the images themselves", code="dicomdir"
        )
    if not len(dataset):  # pydicom gives up everything when the file ends inside an element of unknown length
        raise UnreadableImage("the DICOM file ends too early", code="truncated")
    if sop_class in TOMOSYNTHESIS:
        raise UnsupportedImage("tomosynthesis is not read; send the 2-D view", code="tomosynthesis")
    intent = text(dataset, "PresentationIntentType").upper()
    if sop_class in FOR_PROCESSING or intent == "FOR PROCESSING":
        raise UnsupportedImage(
            "raw detector values (For Processing) are not read; send the For Presentation image",
            code="for_processing",
        )
    if not sop_class:
        raise UnreadableImage("the DICOM file has no SOPClassUID", code="missing_attribute")
    if sop_class not in ACCEPTED:
        raise UnsupportedImage(
            "not a mammogram: expected one of " + ", ".join(ACCEPTED.values()), code="wrong_sop_class"
        )
    if text(dataset, "Modality").upper() not in MODALITIES:
        raise UnsupportedImage("expected Modality MG, DX, CR, SC, OT or RG", code="wrong_modality")


def _padding(
    dataset: FileDataset, values: npt.NDArray[np.int32], form: PixelFormat
) -> npt.NDArray[np.bool_] | None:
    """Where PixelPaddingValue (to PixelPaddingRangeLimit) marks pixels outside the image; None where it does not."""
    value = integer(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer(dataset, "PixelPaddingRangeLimit")
    low, high = sorted(_signed(end, form) for end in (value, value if limit is None else limit))
    padding = (values >= low) & (values <= high)
    return padding if padding.any() else None


def _signed(value: int, form: PixelFormat) -> int:
    """A 16-bit value as the pixels mean it; many writers label a signed one unsigned."""
    return value - 2**16 if form.signed and value >= 2**15 else value


def _rescale(dataset: FileDataset) -> tuple[float, float]:
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    return (slope[0] if slope and slope[0] else 1.0), (intercept[0] if intercept else 0.0)
