"""Parses a DICOM data set from hostile bytes, and reads its elements safely.

pydicom converts an element on first access and has no common exception type: a damaged file may raise anything, and the
message may quote a patient's name. Parsing and conversion therefore happen in this module, and in those of results,
which let no exception and no message of pydicom through either.
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

from mammo.errors import UnreadableImage
from mammo.geometry import MAX_PIXELS
from mammo.stated_facts import decimal

# pydicom's validation warnings quote the value that they complain about: patient data on stderr.
settings.reading_validation_mode = IGNORE

TAGS = [
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID",
    "FrameOfReferenceUID", "PatientOrientation", "Modality", "PresentationIntentType",
    "PatientID", "PatientName", "PatientBirthDate", "PatientIdentityRemoved",
    "PixelIntensityRelationship", "PixelIntensityRelationshipSign",
    "ImageLaterality", "Laterality", "ViewPosition", "ViewCodeSequence",
    "StudyDate", "PatientAge",
    "ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence",
    "PixelData",
]  # fmt: skip
"""The elements that are read. Others (addresses, comments, private elements) never become Python objects."""

PREAMBLE = 128
"""Bytes before the DICM marker."""

MAX_DEFLATE_RATIO = 100
"""Maximum ratio of inflated to deflated bytes: about 3 for a mammogram, 50 for an empty one, 1000 for a bomb."""

MAX_INFLATED = 2 * MAX_PIXELS + 16 * 2**20
"""Maximum size of an inflated data set, in bytes: the largest image with 16 bits, and a generous header."""

MAX_READS = 60_000
"""Maximum number of read calls: pydicom needs one to three per element and item; a mammogram has a few hundred."""

MAX_TEXT, MAX_SEQUENCE = 2**14, 2**19
"""Maximum length of a raw value that is converted, in bytes: strings and numbers, and sequences."""


class MeteredBytes(io.BytesIO):
    """A byte stream that limits the number of reads: millions of empty elements would become as many Python objects."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads_left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise _too_many_elements()
        return super().read(size)


def _too_many_elements() -> UnreadableImage:
    return UnreadableImage(
        "the DICOM file has more elements than any mammogram; export it again without private elements",
        code="too_many_elements",
    )


def is_dicom(data: bytes) -> bool:
    """Whether the bytes carry the DICM marker, or begin like a data set without preamble."""
    if data[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return True
    if len(data) < 16:
        return False
    group, element, vr = struct.unpack("<HH2s", data[:6])
    return (
        group in (2, 8) and element <= 0x100 and (vr in (b"UL", b"UI", b"CS", b"OB") or data[6:8] == b"\0\0")
    )


def open_dataset(data: bytes, *, max_bytes: int, tags: Sequence[str] = TAGS) -> FileDataset:
    """Parse the elements named in `tags`; pixel data stay encoded.

    Args:
        data: a complete file, with or without preamble.
        max_bytes: maximum size of an inflated data set.
        tags: keywords of the elements to read.

    Raises:
        UnreadableImage: `deflate_limit`, `nesting`, `too_many_elements`, `too_large` or `parse`.
    """
    data = _inflated(data, max_bytes=max_bytes)
    force = data[PREAMBLE : PREAMBLE + 4] != b"DICM"
    stream = MeteredBytes(data)
    try:
        dataset = pydicom.dcmread(stream, force=force, specific_tags=list(tags))
        _complete_file_meta(dataset)
    except UnreadableImage:
        raise
    except RecursionError:
        raise UnreadableImage("the DICOM file nests sequences too deeply", code="nesting") from None
    except MemoryError:
        raise UnreadableImage("parsing the DICOM file needs too much memory", code="too_large") from None
    except Exception:  # see the docstring of this module
        if stream.reads_left < 0:  # pydicom has caught the error of a read
            raise _too_many_elements() from None
        raise UnreadableImage("the DICOM file is damaged and cannot be parsed", code="parse") from None
    return dataset


def text(dataset: Dataset, keyword: str) -> str:
    """The value of a string element, stripped; multiple values joined by backslashes; empty when invalid."""
    value = _value(dataset, keyword)
    if isinstance(value, MultiValue):
        return "\\".join(str(part).strip() for part in value)
    return str(value).strip() if isinstance(value, str | int | float | PersonName) else ""


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The values of a numeric element, decimal commas accepted; empty when missing or when any value is invalid."""
    try:
        return strict_numbers(dataset, keyword)
    except UnreadableImage:
        return ()


def strict_numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """As `numbers`, but text that is not a number raises instead of counting as missing.

    Raises:
        UnreadableImage: a value is not a number (`not_a_number`).
    """
    raw_text = _decimal_string(dataset, keyword)
    value = _value(dataset, keyword)
    parts: list[Any] = list(value) if isinstance(value, MultiValue | list) else [value]
    if value is None:
        parts = raw_text.split("\\")
    parts = [each.strip("\0 ") if isinstance(each, str) else each for each in parts]
    if not any(each != "" for each in parts):
        return ()
    try:
        values = tuple(_number(each) for each in parts)
    except (ValueError, TypeError, OverflowError):
        raise UnreadableImage(
            f"the value of {keyword} is not a number; write it with a decimal point, or remove the attribute",
            code="not_a_number",
        ) from None
    return values if all(map(math.isfinite, values)) else ()


def _decimal_string(dataset: Dataset, keyword: str) -> str:
    """The raw text of a decimal string (VR DS), which may not be convertible; empty for other elements."""
    try:
        raw: Any = dataset.get_item(keyword)
    except Exception:  # see the docstring of this module
        return ""
    if not isinstance(raw, RawDataElement) or raw.VR != "DS" or not _convertible(keyword, raw):
        return ""
    return bytes(raw.value or b"").decode("latin-1")


def _number(value: Any) -> float:
    return decimal(value) if isinstance(value, str) and "," in value else float(value)


def integer(dataset: Dataset, keyword: str) -> int | None:
    """The value of an element as a 32-bit integer; None when missing or invalid."""
    values = numbers(dataset, keyword)
    whole = len(values) == 1 and abs(values[0]) < 2**31 and values[0] == int(values[0])
    return int(values[0]) if whole else None


def first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence; None when missing, empty or invalid."""
    value = _value(dataset, keyword)
    try:
        return value[0] if value else None
    except (TypeError, IndexError, KeyError):
        return None


def payload(dataset: Dataset, keyword: str) -> bytes:
    """The bytes of a binary element; empty when missing or of another type."""
    value = _value(dataset, keyword)
    return value if isinstance(value, bytes) else b""


def _value(dataset: Dataset, keyword: str) -> Any:
    """The converted value; None when missing, invalid, or too long to convert."""
    try:
        raw: Any = dataset.get_item(keyword)
        if isinstance(raw, RawDataElement) and not _convertible(keyword, raw):
            return None
        return dataset.get(keyword)
    except Exception:  # see the docstring of this module
        return None


def _convertible(keyword: str, raw: RawDataElement) -> bool:
    """Whether conversion is cheap: long values would become too many objects, whatever their VR."""
    if keyword == "PixelData":
        return raw.VR in (None, "OB", "OW", "UN")
    if keyword in ("LUTData", "ViewCodeSequence", "VOILUTSequence"):
        return len(raw.value or b"") <= MAX_SEQUENCE
    return len(raw.value or b"") <= MAX_TEXT


def _complete_file_meta(dataset: FileDataset) -> None:
    """Add the transfer syntax of the parsed encoding to a file without meta header."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, _ = dataset.original_encoding
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _inflated(data: bytes, *, max_bytes: int) -> bytes:
    """Inflate a deflated data set within limits; return other files unchanged."""
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
            f"the deflated DICOM file inflates to more than {limit} bytes; send it without deflation",
            code="deflate_limit",
        )
    if not stream.eof:
        raise UnreadableImage("the deflated DICOM file ends too early", code="truncated")
    plain = ExplicitVRLittleEndian.encode()
    return header.replace(uid, plain + b"\0" * (len(uid) - len(plain)), 1) + body
