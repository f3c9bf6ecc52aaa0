"""The annotations of a project that cannot be read, and the labels of which none ever will be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cli.doctor.diagnosis import Diagnosis, skipped, warning, well
from cli.doctor.inspection import Inspection
from mammo.errors import InvalidRegion, StorageUnavailable
from mammo.labelstudio.labeling_config import ControlTags
from training.datasets.annotation_reading import reading_errors

SHOWN = 3
"""Annotations of each code that are named."""


def check_labels(inspection: Inspection) -> Iterator[Diagnosis]:
    """Labels that mean something else than a cluster: what is drawn with them is passed over."""
    try:
        tags = ControlTags.read(inspection.described["label_config"])
    except InvalidRegion:  # said by the check of the labeling config
        return
    others = sorted(
        {pair for each in (tags, *tags.siblings) for pair in each.other_labels if pair[0] not in each.prompts}
    )
    if others:
        named = ", ".join(f"{label!r} of {control!r}" for control, label in others)
        yield well("labels", f"never read, since they mean something else than a cluster: {named}")


def check_annotations(inspection: Inspection) -> Iterator[Diagnosis]:
    """How many annotations are refused now, by code."""
    assert inspection.project is not None
    try:
        tags = ControlTags.read(inspection.described["label_config"])
    except InvalidRegion as error:
        yield skipped("annotations", f"what the project calls a cluster is not known ({error.code})")
        return
    try:
        corrections = inspection.site.store.corrections(inspection.project)
    except StorageUnavailable as error:
        yield skipped("annotations", f"the database cannot be read ({error.code}); see the check database")
        return
    problems = reading_errors(corrections, tags)
    if not problems:
        yield well("annotations", f"all {len(corrections)} annotations can be read")
        return
    by_code = Counter(error.code for error in problems.values())
    for code, count in sorted(by_code.items()):
        numbers = [number for number, error in problems.items() if error.code == code]
        first = ", ".join(map(str, numbers[:SHOWN])) + (", …" if count > SHOWN else "")
        yield warning(
            "annotations",
            f"{count} of {len(corrections)} annotations are refused and nothing is learned from them: {code} "
            f"(annotation {first}): {problems[numbers[0]]}",
            REMEDIES.get(
                code, "put it right in Label Studio and press Update; `yolo-mlsam reconcile` names all"
            ),
        )


REMEDIES = {
    "unknown_label": 'put the label into the labeling config, with predicted_values="Cluster" if it means one, or '
    "give the regions another label and press Update",
    "doubtful_label": 'write predicted_values="Cluster" at the labels that mean a cluster, in the labeling config',
    "unknown_tool": "draw it again with an outline, brush, rectangle or point, and press Update",
    "unknown_image": "put the image back into the labeling config, or the image into the task, or delete the region",
    "no_label": "give the region a label or delete it, and press Update",
    "no_area": "draw the region again or delete it, and press Update",
    "spacing": "correct the task's spacing_mm, or import the image again",
}
"""By code; each may concern many annotations."""
