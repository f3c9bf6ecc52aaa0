"""Annotations of a project that are refused, and labels that are ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mammo.doctor.diagnosis import Diagnosis, skipped, warning, well
from mammo.doctor.inspection import Inspection
from mammo.errors import InvalidRegion, StorageUnavailable
from mammo.labelstudio.labeling_config import ControlTags
from training.datasets.annotation_reading import reading_errors

MAX_SHOWN = 3
"""Most annotations listed per error code."""


def check_labels(inspection: Inspection) -> Iterator[Diagnosis]:
    """List the labels that do not mean a cluster: regions with them are ignored."""
    try:
        tags = ControlTags.read(inspection.described["label_config"])
    except InvalidRegion:  # reported by the check of the labeling config
        return
    others = sorted(
        {pair for each in (tags, *tags.siblings) for pair in each.other_labels if pair[0] not in each.prompts}
    )
    if others:
        named = ", ".join(f"{label!r} of {control!r}" for control, label in others)
        yield well("labels", f"ignored, because they do not mean a cluster: {named}")


def check_annotations(inspection: Inspection) -> Iterator[Diagnosis]:
    """Count the annotations that are refused now, by error code."""
    assert inspection.project is not None
    try:
        tags = ControlTags.read(inspection.described["label_config"])
    except InvalidRegion as error:
        yield skipped(
            "annotations", f"the labeling config does not say which labels mean a cluster ({error.code})"
        )
        return
    try:
        corrections = inspection.site.store.corrections(inspection.project)
    except StorageUnavailable as error:
        yield skipped("annotations", f"the database cannot be read ({error.code}); see the check `database`")
        return
    problems = reading_errors(corrections, tags)
    if not problems:
        yield well("annotations", f"all {len(corrections)} annotations can be read")
        return
    by_code = Counter(error.code for error in problems.values())
    for code, count in sorted(by_code.items()):
        numbers = [number for number, error in problems.items() if error.code == code]
        first = ", ".join(map(str, numbers[:MAX_SHOWN])) + (", …" if count > MAX_SHOWN else "")
        yield warning(
            "annotations",
            f"{count} of {len(corrections)} annotations are refused, so no model learns from them: {code} "
            f"(annotation {first}): {problems[numbers[0]]}",
            REMEDIES.get(
                code,
                "correct them in Label Studio and press Update; `yolo-mlsam reconcile` lists all of them",
            ),
        )


REMEDIES = {
    "unknown_label": 'add the label to the labeling config, with predicted_values="Cluster" if it means a cluster, or '
    "give the regions another label and press Update",
    "doubtful_label": 'in the labeling config, add predicted_values="Cluster" to the labels that mean a cluster',
    "unknown_tool": "draw the region again as polygon, brush, rectangle or point, and press Update",
    "unknown_image": "add the image to the labeling config or to the task, or delete the region",
    "no_label": "give the region a label or delete it, and press Update",
    "no_area": "draw the region again or delete it, and press Update",
    "spacing": "correct the task's spacing_mm, or import the image again",
}
"""By error code."""
