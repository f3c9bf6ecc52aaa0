"""BreastViews: the findings on the images of one task, and which of them are the same lesion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mammo.dicom import Mammogram
from mammo.findings import ImageFindings
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.relations import same_lesion
from mammo.labelstudio.rendering import region_id
from mammo.lesions import ViewFindings, same_lesions


class BreastViews:
    """Collects the findings of a task by breast and view."""

    def __init__(self) -> None:
        self._views: dict[tuple[object, object], ViewFindings | None] = {}

    def add(
        self, found: ImageFindings, described: Mapping[str, Any], mammogram: Mammogram, *, tags: ControlTags
    ) -> None:
        """Add the findings on one image.

        Args:
            found: with landmarks, or without any.
            described: data of the image, as `of_task` returns it.
            mammogram: the image; what it states of laterality and view counts before the task data.
            tags: control tags of the image.
        """
        if found.landmarks is None:
            return
        key = (
            mammogram.laterality or described.get("laterality"),
            mammogram.view or described.get("view"),
        )
        findings = [replace(each, id=region_id(each.id, tags=tags)) for each in found.findings]
        only = ViewFindings(findings=findings, landmarks=found.landmarks)
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
