"""LabelledImage: one image with its findings, on the way into a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.dicom.segmentation import Origin
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.masks import Mask

POINT_ONLY = "a finding is marked by a point only, and no format of an export has a word for that: outline it"
"""Why an image is not exported: without the finding, the file would say that there is nothing."""


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One image with what was found in it."""

    name: str
    """Unique in one export, harmless, without any patient tag; the name of a DICOM Segmentation of it."""

    file_name: str
    """Where the image is, relative to the images' folder; unique in one export."""

    size: Size
    findings: tuple[Finding, ...]
    origin: Origin
    source: Path | bytes | None = None
    """The image file itself, which a DICOM Segmentation refers to."""

    reference: str | None = None
    """How a task names the image, where `file_name` was made out of that."""

    sha256: str | None = None
    """Of the image file."""

    calcifications: tuple[Mask, ...] = ()
    """Single calcifications, where they are known."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """More for the COCO record of the image, such as `patient` (a key), `view`, `spacing_mm`."""

    attributes: tuple[Mapping[str, Any], ...] = ()
    """More for the COCO record of each finding; empty, or one per finding."""

    @property
    def has_point(self) -> bool:
        """Whether a finding is marked by a point only."""
        return any(finding.is_point for finding in self.findings)


@dataclass(frozen=True)
class Refusal:
    """Something that is not exported or imported, and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"
