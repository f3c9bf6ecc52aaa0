"""BreastViews: the findings on the images of one task, and which of them are the same lesion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mammo.dicom import Mammogram
from mammo.findings import ImageFindings
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.relations import same_lesion
from mammo.lesions import ViewFindings, same_lesions


def named_by_image(found: ImageFindings, tags: ControlTags) -> ImageFindings:
    """Return findings whose ids are unique among the images of a task; those of an only image stay as they are."""
    if tags.is_only_image:
        return found
    findings = (replace(each, id=f"{tags.image_tag}-{each.id}" if each.id else "") for each in found.findings)
    return replace(found, findings=tuple(findings))


class BreastViews:
    """Collects the findings of a task by breast and view."""

    def __init__(self) -> None:
        self._views: dict[tuple[object, object], ViewFindings | None] = {}

    def add(self, found: ImageFindings, described: Mapping[str, Any], mammogram: Mammogram) -> None:
        """Add the findings on one image.

        Args:
            found: with landmarks, or without any.
            described: data of the image, as `of_task` returns it.
            mammogram: the image; what it states of laterality and view counts before the task data.
        """
        if found.landmarks is None:
            return
        key = (
            mammogram.laterality or described.get("laterality"),
            mammogram.view or described.get("view"),
        )
        only = ViewFindings(findings=found.findings, landmarks=found.landmarks)
        # Of two images of one view, nothing tells which to compare.
        self._views[key] = None if key in self._views else only

    def relations(self) -> list[dict[str, Any]]:
        """Return a relation for each pair of findings in CC and MLO that are probably the same lesion."""
        relations = []
        for laterality in ("R", "L"):
            cc, mlo = (self._views.get((laterality, view)) for view in ("CC", "MLO"))
            if cc is not None and mlo is not None:
                relations += [same_lesion(pair.cc.id, pair.mlo.id) for pair in same_lesions(cc, mlo)]
        return relations
