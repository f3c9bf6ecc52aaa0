"""What a structured report says about one mammogram, whichever template it is written by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mammo.dicom.limits import check_size
from mammo.dicom.results import Origin, Tracking
from mammo.findings import Finding
from mammo.masks.pixel_edges import single_outline

MAX_CORNERS = 8000
"""Maximum number of corners of an outline: GraphicData holds at most 2**16 bytes in explicit encoding (PS3.5 7.1.2)."""

MAX_FINDINGS = 100
"""Maximum number of findings in one report."""

ReportKind = Literal["measurements", "cad"]
Vertices = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ReportedFinding:
    """One finding as a report states it."""

    finding: Finding
    tracking: Tracking | None
    """None in a report by a program that does not track findings."""

    laterality: str | None
    """`L` or `R`."""

    num_calcifications: int | None
    longest_mm: float | None
    width_mm: float | None
    height_mm: float | None
    """Sizes of the outline, or of the bounding box; None if the report does not state them."""


@dataclass(frozen=True, kw_only=True)
class FindingsReport:
    """A report that was read."""

    kind: ReportKind
    sop_instance_uid: str
    findings: tuple[ReportedFinding, ...]
    origin: Origin
    predecessors: tuple[str, ...] = field(default=())
    """SOPInstanceUIDs of the reports that this one replaces."""


def outline(finding: Finding) -> Vertices:
    """Return the closed outline of a finding, or of its box without one: N x 2 (x, y) in the continuous pixel frame.

    That is DICOM's frame of spatial coordinates too: the corner of the first pixel is (0, 0) (PS3.3 C.18.6.1.1).

    Raises:
        ValueError: the outline has more than `MAX_CORNERS` corners.
    """
    box = finding.box
    corners = (
        single_outline(finding.mask)
        if finding.mask is not None
        else [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1), (box.x0, box.y0)]
    )
    if len(corners) > MAX_CORNERS:
        raise ValueError(
            f"the outline of a finding has {len(corners)} corners, and a report holds at most {MAX_CORNERS}: "
            "smooth it, or export it as a segmentation"
        )
    return np.array(corners, np.float64)


def check_findings(
    image: Dataset, findings: Sequence[Finding], num_calcifications: Sequence[int | None]
) -> None:
    """Refuse what no report can state.

    Raises:
        ValueError: there are too many findings, or a finding is a point or extends beyond the image.
    """
    if len(findings) > MAX_FINDINGS:
        raise ValueError(f"expected at most {MAX_FINDINGS} findings, got {len(findings)}")
    if len(num_calcifications) != len(findings):
        raise ValueError("expected a number of calcifications, or None, for each finding")
    size = check_size(int(image.Columns), int(image.Rows))
    for finding in findings:
        if finding.is_point:
            raise ValueError("a finding is marked by a point only; a report needs its outline")
        frame = finding.mask.frame if finding.mask else finding.box
        if frame.intersection(size.box) != frame:
            raise ValueError("every finding of a report must lie inside the image")
