"""Values of data sets in the DICOM JSON model (PS3.18 F.2), which a server may fill with anything."""

from __future__ import annotations

import re
from typing import Any

UID = re.compile(r"[0-9]+(\.[0-9]+)*")
MAX_UID = 64
MAX_TEXT = 256
"""Longest text that is taken over, in characters."""

TAGS = {
    "SOPClassUID": "00080016",
    "SOPInstanceUID": "00080018",
    "StudyDate": "00080020",
    "AccessionNumber": "00080050",
    "Modality": "00080060",
    "PresentationIntentType": "00080068",
    "PatientID": "00100020",
    "IssuerOfPatientID": "00100021",
    "BodyPartExamined": "00180015",
    "ViewPosition": "00185101",
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "Laterality": "00200060",
    "ImageLaterality": "00200062",
    "NumberOfFrames": "00280008",
}
"""Tag by keyword."""


def text(answer: dict[str, Any], keyword: str) -> str:
    """Return the first value of an attribute as text, stripped; empty if there is none, or nothing sensible."""
    element = answer.get(TAGS[keyword])
    values = element.get("Value") if isinstance(element, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    shown = "".join(character for character in str(value) if character.isprintable())
    return shown.strip()[:MAX_TEXT]


def uid(answer: dict[str, Any], keyword: str) -> str:
    """Return a well-formed UID; empty if there is none."""
    value = text(answer, keyword)
    return value if len(value) <= MAX_UID and UID.fullmatch(value) else ""


def has(answer: dict[str, Any], keyword: str) -> bool:
    """Whether the answer has the attribute at all, be it empty."""
    return TAGS[keyword] in answer
