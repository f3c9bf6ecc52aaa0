"""LabelledImage: one image with its findings, to be exported; Refusal: an image that is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mammo.dicom import Mammogram
from mammo.dicom.results import Origin
from mammo.evidence import num_calcifications
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.config_controls import COMMENT
from mammo.masks import Mask

WeightsOf = Callable[[str], tuple[str, ...]]
"""Model version -> SHA-256 of its weight files, as `Origin.weights` has them."""

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

    num_calcifications: tuple[int | None, ...] = ()
    """Number of calcifications of each finding, None where it was not measured; empty if none was."""

    calcifications: tuple[Mask, ...] = ()
    """Masks of single calcifications; empty if unknown."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the image's COCO record, such as `patient` (a key), `view` and `spacing_mm`."""

    attributes: tuple[Mapping[str, Any], ...] = ()
    """`attributes` of each finding's COCO record; empty, or one per finding."""

    @property
    def counts(self) -> tuple[int | None, ...]:
        """Number of calcifications of each finding."""
        return self.num_calcifications or (None,) * len(self.findings)

    def without_comments(self) -> LabelledImage:
        """Return the image without what people wrote about its findings."""
        return replace(
            self,
            findings=tuple(replace(finding, comment="") for finding in self.findings),
            attributes=tuple(
                {name: value for name, value in each.items() if name != COMMENT} for each in self.attributes
            ),
        )

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


def no_weights(version: str) -> tuple[str, ...]:
    """Return nothing: the weights of model versions are unknown."""
    return ()


def counts(mammogram: Mammogram, findings: Sequence[Finding]) -> tuple[int | None, ...]:
    """Count the calcifications of each finding on a mammogram."""
    return tuple(
        num_calcifications(mammogram.pixels, finding.mask, spacing=mammogram.spacing) for finding in findings
    )
