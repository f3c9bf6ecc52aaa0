"""Words about regions become words about findings: a painted region may be several findings, and a finding several
regions.

What is said about a region that is a finding of its own holds for that finding. What is said about any other (a mask
painted by hand, an outline within a box) holds for each finding that has pixels of it. A region of which no pixel is
left, such as a crumb, takes its words along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.geometry import Point
from mammo.labelstudio.config_controls import COMMENT
from mammo.masks import Mask, PixelBudget

Extent = Mask | Point
"""What was drawn."""


def described_findings(
    findings: Sequence[Finding],
    words: Mapping[str, Mapping[str, Any]],
    extents: Sequence[tuple[str, Extent]],
    *,
    budget: PixelBudget,
) -> list[Finding]:
    """Return findings with what is said about their regions.

    Args:
        findings: of one image.
        words: fields of `Finding` by region id, as `mammo.labelstudio.descriptors.finding_descriptors` returns them.
        extents: (region id, what was drawn).
        budget: of the annotation.

    Raises:
        InvalidRegion: the regions of one finding have different words (code `two_words`), or there are too many pixels
            to compare.
    """
    names = {each.id for each in findings}
    elsewhere = [(words[name], extent) for name, extent in extents if name in words and name not in names]
    return [
        replace(
            finding,
            **_together(
                [
                    words.get(finding.id, {}),
                    *(said for said, extent in elsewhere if _has_of(finding, extent, budget)),
                ]
            ),
        )
        for finding in findings
    ]


def _has_of(finding: Finding, extent: Extent, budget: PixelBudget) -> bool:
    """Whether a finding has a pixel of what was drawn."""
    if isinstance(extent, Point):
        return finding.box.contains(extent)
    common = extent.frame.intersection(finding.box if finding.mask is None else finding.mask.frame)
    if common is None:
        return False
    budget.spend(common.area)
    if finding.mask is None:
        return extent.within(finding.box) is not None
    return extent.intersection_area(finding.mask) > 0


def _together(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the words of several regions of one finding; raises InvalidRegion: they differ."""
    together: dict[str, Any] = {}
    for name in dict.fromkeys(name for each in said for name in each):
        different = list(dict.fromkeys(each[name] for each in said if name in each))
        if name == COMMENT:
            together[name] = "\n".join(different)
        elif len(different) > 1:
            raise InvalidRegion(
                f"regions of one finding have different words as {name}: {', '.join(sorted(different))}; leave one of "
                "them",
                code="two_words",
            )
        else:
            together[name] = different[0]
    return together
