"""LabelledImage: one image with its findings, to be exported; Refusal: an image that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.dicom.results import Origin
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.masks import Mask

POINT_ONLY = "a finding is marked by a point only, which no export format can represent; outline it"
"""Reason to refuse an image with a point finding, which would be missing in the export."""


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One image with its findings."""

    name: str
    """Unique within an export, a safe file name without patient tags; names the image's DICOM Segmentation."""

    file_name: str
    """Path of the image relative to the images' folder; unique within an export."""

    size: Size
    findings: tuple[Finding, ...]
    origin: Origin
    source: Path | bytes | None = None
    """The image file, to which a DICOM Segmentation refers."""

    reference: str | None = None
    """Address of the image in its task, if `file_name` is derived from it."""

    sha256: str | None = None
    """SHA-256 of the image file."""

    calcifications: tuple[Mask, ...] = ()
    """Masks of single calcifications; empty if unknown."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the image's COCO record, such as `patient` (a key), `view` and `spacing_mm`."""

    attributes: tuple[Mapping[str, Any], ...] = ()
    """`attributes` of each finding's COCO record; empty, or one per finding."""

    @property
    def has_point(self) -> bool:
        """Whether a finding is marked by a point only."""
        return any(finding.is_point for finding in self.findings)


@dataclass(frozen=True)
class Refusal:
    """An image, row or file that is not exported or imported."""

    where: str
    """Its place in the data set, project or folder."""

    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"
