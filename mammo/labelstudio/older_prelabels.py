"""Prelabels as earlier releases sent them: several regions a finding, and one brush region for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo.geometry import Box, Size
from mammo.labelstudio.brush_parts import nearest_box, share_out
from mammo.labelstudio.region_meta import finding_of, in_meta
from mammo.masks import Mask, union

PREDICTED = frozenset({None, "prediction"})
"""`origin` of a region that nobody has changed; what was not in a browser has none."""


@dataclass
class Assigned:
    """What became of the pixels of an older prelabel."""

    masks: dict[str, Mask] = field(default_factory=dict)
    """Of the rectangles whose pixels are as they were sent, by their names."""

    changed: list[Mask] = field(default_factory=list)
    """Pixels that a person has changed: a mask by hand, from now on."""

    deleted: list[str] = field(default_factory=list)
    """Findings whose rectangle is gone while the rest is as it was sent: deleted whole."""


class OlderPrelabel:
    """The brush and the outlines of one annotation that an earlier release sent."""

    def __init__(self) -> None:
        self._brushes: list[tuple[Mask | None, list[str], bool]] = []
        self._outlines: dict[str, list[Mask]] = {}
        self._changed: set[str] = set()

    def takes(self, region: Mapping[str, Any]) -> bool:
        """Whether a brush region was sent for all findings together."""
        return isinstance(in_meta(region, "findings"), list)

    def add_brush(self, region: Mapping[str, Any], mask: Mask | None) -> None:
        """The one brush region of all findings."""
        names = [str(name) for name in in_meta(region, "findings")]
        self._brushes.append((mask, names, region.get("origin") in PREDICTED))

    def add_outline(self, region: Mapping[str, Any], mask: Mask) -> None:
        """One of the outlines of a finding."""
        name = str(finding_of(region))
        self._outlines.setdefault(name, []).append(mask)
        if region.get("origin") not in PREDICTED:
            self._changed.add(name)

    def assign(self, rectangles: Mapping[str, Box], *, size: Size, with_rectangles: bool) -> Assigned:
        """Give what was sent back to the rectangles that are left.

        Args:
            rectangles: those of the annotation, by their names.
            with_rectangles: the project has a tool for them, so each finding was sent with one.
        """
        found = Assigned()
        parts: dict[str, list[Mask]] = {}
        for mask, names, untouched in self._brushes:
            lost = [name for name in names if name not in rectangles] if with_rectangles else []
            boxes = {name: rectangles[name] for name in names if name in rectangles}
            if not untouched or mask is None or (not boxes and not lost):
                found.changed += [mask] if mask is not None else []
                continue
            found.deleted += lost
            shares = share_out(mask, list(boxes.values()), size=size, erased=False)
            for name, share in zip(boxes, shares.masks, strict=True):
                parts.setdefault(name, []).extend([share] if share is not None else [])
            # Nobody has painted: what lies beside the rectangles is of the finding next to it, or of a deleted one.
            for rest in [] if lost else [*shares.rest, *shares.crumbs]:
                name = list(boxes)[nearest_box(rest, list(boxes.values()))]
                parts.setdefault(name, []).append(rest)
        for name, outlines in self._outlines.items():
            if name in rectangles:
                parts.setdefault(name, []).extend(outlines)
            elif with_rectangles and name not in self._changed:
                found.deleted.append(name)
            else:
                found.changed += outlines
        found.masks = {name: mask for name, masks in parts.items() if (mask := union(masks)) is not None}
        return found

    @property
    def was_erased(self) -> bool:
        """Whether a person changed the brush region, so that what is left of it may be crumbs."""
        return any(not untouched for _, _, untouched in self._brushes)
