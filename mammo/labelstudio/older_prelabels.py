"""Prelabels of earlier releases: several regions per finding, and one brush region for all findings together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo.geometry import Box, Size
from mammo.labelstudio.brush_parts import nearest_box, share_out
from mammo.labelstudio.region_meta import meta_value, predicted_finding
from mammo.masks import Mask, union

PREDICTED = frozenset({None, "prediction"})
"""`origin` of an unchanged region; a region that was never opened in a browser has none."""


@dataclass
class Assignment:
    """The pixels of an older prelabel, assigned to findings."""

    masks: dict[str, Mask] = field(default_factory=dict)
    """Unchanged masks by the id of their rectangle."""

    changed: list[Mask] = field(default_factory=list)
    """Masks that a person changed; they are treated as painted by hand."""

    deleted: list[str] = field(default_factory=list)
    """Ids of findings whose rectangle was deleted; their unchanged masks are deleted too."""


@dataclass(frozen=True)
class _Brush:
    mask: Mask | None
    findings: list[str]
    """Ids of all findings whose pixels it contains."""

    unchanged: bool


class OlderPrelabel:
    """The brush and outline regions of an older prelabel in one annotation."""

    def __init__(self) -> None:
        self._brushes: list[_Brush] = []
        self._outlines: dict[str, list[Mask]] = {}
        self._changed: set[str] = set()

    def includes(self, region: Mapping[str, Any]) -> bool:
        """Whether a brush region was predicted for all findings together."""
        return isinstance(meta_value(region, "findings"), list)

    def add_brush(self, region: Mapping[str, Any], mask: Mask | None) -> None:
        """Add the brush region of all findings."""
        names = [str(name) for name in meta_value(region, "findings")]
        self._brushes.append(_Brush(mask, names, unchanged=region.get("origin") in PREDICTED))

    def add_outline(self, region: Mapping[str, Any], mask: Mask) -> None:
        """Add one of the outlines of a finding."""
        name = str(predicted_finding(region))
        self._outlines.setdefault(name, []).append(mask)
        if region.get("origin") not in PREDICTED:
            self._changed.add(name)

    def assign(self, rectangles: Mapping[str, Box], *, size: Size, with_rectangles: bool) -> Assignment:
        """Assign the pixels to the remaining rectangles.

        Args:
            rectangles: boxes of the annotation's rectangles by id.
            size: of the image.
            with_rectangles: the project has a rectangle control, so every finding was predicted with a rectangle.
        """
        assignment = Assignment()
        parts: dict[str, list[Mask]] = {}
        for brush in self._brushes:
            lost = [name for name in brush.findings if name not in rectangles] if with_rectangles else []
            boxes = {name: rectangles[name] for name in brush.findings if name in rectangles}
            if not brush.unchanged or brush.mask is None or (not boxes and not lost):
                assignment.changed += [brush.mask] if brush.mask is not None else []
                continue
            assignment.deleted += lost
            shares = share_out(brush.mask, list(boxes.values()), size=size, erased=False)
            for name, share in zip(boxes, shares.masks, strict=True):
                parts.setdefault(name, []).extend([share] if share is not None else [])
            # In an unchanged brush region, parts beside the rectangles belong to the nearest finding, unless a
            # rectangle was deleted: then they may have been its.
            for rest in [] if lost else [*shares.rest, *shares.crumbs]:
                name = list(boxes)[nearest_box(rest, list(boxes.values()))]
                parts.setdefault(name, []).append(rest)
        for name, outlines in self._outlines.items():
            if name in rectangles:
                parts.setdefault(name, []).extend(outlines)
            elif with_rectangles and name not in self._changed:
                assignment.deleted.append(name)
            else:
                assignment.changed += outlines
        assignment.masks = {name: mask for name, masks in parts.items() if (mask := union(masks)) is not None}
        return assignment

    @property
    def was_changed(self) -> bool:
        """Whether a person changed the brush region, so that small parts of it may be remains of erasing."""
        return any(not brush.unchanged for brush in self._brushes)
