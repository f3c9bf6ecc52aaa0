"""A DICOM data set from hostile bytes, and careful access to its elements.

pydicom converts an element when it is first read and has no common exception: any type may come out of a broken file,
with the offending value, perhaps a patient's name, in its text. So both happen here only, and no text is passed on.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.config import IGNORE, settings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import PersonName

from mammo.dicom.limits import MAX_PIXELS
from mammo.errors import UnreadableImage
from mammo.stated_facts import decimal

# pydicom's validation warnings quote the value that they complain about: patient data on stderr.
settings.reading_validation_mode = IGNORE

TAGS = [
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID",
    "FrameOfReferenceUID", "PatientOrientation", "Modality", "PresentationIntentType",
    "PatientID", "PatientName", "PatientBirthDate", "PatientIdentityRemoved",
    "PixelIntensityRelationship", "PixelIntensityRelationshipSign",
    "ImageLaterality", "Laterality", "ViewPosition", "ViewCodeSequence",
    "ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence",
    "PixelData",
]  # fmt: skip
"""Everything that is read; other elements (addresses, comments, private tags) never become Python objects."""

PREAMBLE = 128
MAX_DEFLATE_RATIO = 100
"""A mammogram deflates about 3 : 1, an empty one perhaps 50 : 1, a bomb 1000 : 1."""

MAX_INFLATED = 2 * MAX_PIXELS + 16 * 2**20
"""The largest image that is read, at 16 bits, and a generous header."""

MAX_READS = 60_000
"""Each element and each item of a sequence costs pydicom one to three reads; a mammogram has a few hundred."""

MAX_TEXT, MAX_SEQUENCE = 2**14, 2**19
"""Longest raw value that is converted, in bytes: of a string or number, and of a sequence."""


class MeteredBytes(io.BytesIO):
    """Bytes that may be read only so often: millions of empty elements would become millions of Python objects."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.num_left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.num_left -= 1
        if self.num_left < 0:
            raise UnreadableImage(
                "the DICOM file holds more elements than any mammogram", code="too_many_elements"
            )
        return super().read(size)


def is_dicom(data: bytes) -> bool:
    """True when the bytes carry the DICM marker, or begin like a data set that lost its preamble."""
    if data[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return True
    if len(data) < 16:
        return False
    group, element, vr = struct.unpack("<HH2s", data[:6])
    return (
        group in (2, 8) and element <= 0x100 and (vr in (b"UL", b"UI", b"CS", b"OB") or data[6:8] == b"\0\0")
    )


def open_dataset(data: bytes, *, max_bytes: int, tags: Sequence[str] = TAGS) -> FileDataset:
    """Parse the elements named in `tags`; pixel data are kept as bytes, nothing is decoded.

    Args:
        data: a whole file, with or without preamble.
        max_bytes: most bytes that a deflated data set may become.

    Raises:
        UnreadableImage: `deflate_limit`, `nesting`, `too_many_elements`, `too_large` or `parse`.
    """
    data = _inflated(data, max_bytes=max_bytes)
    force = data[PREAMBLE : PREAMBLE + 4] != b"DICM"
    try:
        dataset = pydicom.dcmread(MeteredBytes(data), force=force, specific_tags=list(tags))
        _complete_file_meta(dataset)
    except UnreadableImage:
        raise
    except RecursionError:
        raise UnreadableImage("the DICOM file nests its sequences too deep", code="nesting") from None
    except MemoryError:
        raise UnreadableImage("the DICOM file asks for more memory than there is", code="too_large") from None
    except Exception:  # pydicom has no exception tree; its message may quote a patient's value
        raise UnreadableImage("the DICOM file is damaged and cannot be parsed", code="parse") from None
    return dataset


def text(dataset: Dataset, keyword: str) -> str:
    """A string element, stripped; several values are joined by the backslash that divided them; empty when broken."""
    value = _value(dataset, keyword)
    if isinstance(value, MultiValue):
        return "\\".join(str(part).strip() for part in value)
    return str(value).strip() if isinstance(value, str | int | float | PersonName) else ""


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The finite values of a numeric element, of text with a decimal comma too; empty when missing or any is broken."""
    try:
        return written_numbers(dataset, keyword)
    except UnreadableImage:
        return ()


def written_numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """As `numbers`, where a text that is no number must not pass for a missing one.

    Raises:
        UnreadableImage: such a text (code `not_a_number`).
    """
    bare = _bare(dataset, keyword)
    value = _value(dataset, keyword)
    parts: list[Any] = list(value) if isinstance(value, MultiValue | list) else [value]
    if value is None:
        parts = bare.split("\\")
    parts = [each.strip("\0 ") if isinstance(each, str) else each for each in parts]
    if not any(each != "" for each in parts):
        return ()
    try:
        values = tuple(_number(each) for each in parts)
    except (ValueError, TypeError, OverflowError):
        raise UnreadableImage(
            f"its {keyword} is no number: write it with a decimal point, or take it out", code="not_a_number"
        ) from None
    return values if all(map(math.isfinite, values)) else ()


def _bare(dataset: Dataset, keyword: str) -> str:
    """The text of a decimal string that may not be convertible; empty where there is none."""
    try:
        raw: Any = dataset.get_item(keyword)
    except Exception:  # as `_value`
        return ""
    if not isinstance(raw, RawDataElement) or raw.VR != "DS" or not _convertible(keyword, raw):
        return ""
    return bytes(raw.value or b"").decode("latin-1")


def _number(value: Any) -> float:
    return decimal(value) if isinstance(value, str) and "," in value else float(value)


def integer(dataset: Dataset, keyword: str) -> int | None:
    """A whole number of 32 bits; None when missing or broken."""
    values = numbers(dataset, keyword)
    whole = len(values) == 1 and abs(values[0]) < 2**31 and values[0] == int(values[0])
    return int(values[0]) if whole else None


def first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence; None when missing, empty or broken."""
    value = _value(dataset, keyword)
    try:
        return value[0] if value else None
    except (TypeError, IndexError, KeyError):
        return None


def payload(dataset: Dataset, keyword: str) -> bytes:
    """The bytes of a binary element; empty when missing or of another kind."""
    value = _value(dataset, keyword)
    return value if isinstance(value, bytes) else b""


def _value(dataset: Dataset, keyword: str) -> Any:
    """The converted value; None when missing, broken, or too long to be converted at all."""
    try:
        raw: Any = dataset.get_item(keyword)
        if isinstance(raw, RawDataElement) and not _convertible(keyword, raw):
            return None
        return dataset.get(keyword)
    except Exception:  # conversion of a hostile value; see the module's docstring
        return None


def _convertible(keyword: str, raw: RawDataElement) -> bool:
    """False where conversion would turn many bytes into very many objects, whatever the VR pretends."""
    if keyword == "PixelData":
        return raw.VR in (None, "OB", "OW", "UN")
    if keyword in ("LUTData", "ViewCodeSequence", "VOILUTSequence"):
        return len(raw.value or b"") <= MAX_SEQUENCE
    return len(raw.value or b"") <= MAX_TEXT


def _complete_file_meta(dataset: FileDataset) -> None:
    """Give a file that lost its meta header the transfer syntax that its encoding shows."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, _ = dataset.original_encoding
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _inflated(data: bytes, *, max_bytes: int) -> bytes:
    """Inflate a deflated data set within limits; other files are returned as they are."""
    if data[PREAMBLE : PREAMBLE + 8] != b"DICM\x02\0\0\0" or len(data) < PREAMBLE + 16:
        return data
    start = PREAMBLE + 16 + int(struct.unpack("<L", data[PREAMBLE + 12 : PREAMBLE + 16])[0])
    uid = DeflatedExplicitVRLittleEndian.encode()
    header = data[:start]
    if uid not in header:
        return data
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    limit = min(max_bytes, MAX_INFLATED, max(2**20, MAX_DEFLATE_RATIO * len(data)))
    try:
        body = stream.decompress(data[start:], limit)
    except zlib.error:
        raise UnreadableImage("the deflated DICOM file is damaged", code="parse") from None
    if stream.unconsumed_tail:
        raise UnreadableImage(
            f"the deflated DICOM file inflates to more than {limit} bytes", code="deflate_limit"
        )
    if not stream.eof:
        raise UnreadableImage("the deflated DICOM file ends too early", code="truncated")
    plain = ExplicitVRLittleEndian.encode()
    return header.replace(uid, plain + b"\0" * (len(uid) - len(plain)), 1) + body
