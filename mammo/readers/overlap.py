"""Overlap: tasks of one project that two readers have read, and how far the two agree.

In a double reading the readers have projects of their own (`mammo.readings`). Label Studio can also give a task of one
project to several people; those are compared here, with the same rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, groupby

from mammo.annotations import AnnotationStore, Correction, CorrectionHeader
from mammo.blinding import patient_or_task
from mammo.errors import InvalidRegion, InvalidTaskData
from mammo.findings import Finding
from mammo.labelstudio.interpretation import interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags
from mammo.readings.agreement import Agreement, compare
from mammo.readings.cases import COMPARISON, spacing_of
from mammo.readings.records import ReadingRecords
from mammo.readings.rules import ReadingRules

CHUNK = 100
"""Pairs whose content is read at once."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """One image that two people have read."""

    first: CorrectionHeader
    """The reading of the user with the lower id."""

    second: CorrectionHeader
    image: str
    """Key of the image within the task."""

    patient: str
    """Patient key, or the task's number if it states no patient."""

    agreement: Agreement


def overlaps(
    project: int, *, store: AnnotationStore, records: ReadingRecords, tags: ControlTags
) -> Iterator[Overlap]:
    """Yield each image of a project that two people have read, once per pair; automatic annotations do not count.

    A pair of which one reading cannot be interpreted is left out: it is listed as unreadable elsewhere.
    """
    pairs = _pairs(store.correction_headers(project))
    rules = ReadingRules()
    for start in range(0, len(pairs), CHUNK):
        chunk = pairs[start : start + CHUNK]
        contents = store.contents([each.revision for pair in chunk for each in pair])
        for first, second in chunk:
            try:
                found = _agreements(contents[first.revision], contents[second.revision], rules, records, tags)
            except (InvalidRegion, InvalidTaskData):
                continue
            patient = patient_or_task(first.task_id, contents[first.revision].task_data)
            for image, agreement in found:
                yield Overlap(first=first, second=second, image=image, patient=patient, agreement=agreement)


def _pairs(headers: Sequence[CorrectionHeader]) -> list[tuple[CorrectionHeader, CorrectionHeader]]:
    """Return each pair of people's newest readings of a task; headers are sorted by task."""
    pairs: list[tuple[CorrectionHeader, CorrectionHeader]] = []
    for _, on_task in groupby(headers, key=lambda header: header.task_id):
        newest: dict[int, CorrectionHeader] = {}
        for header in sorted(on_task, key=lambda each: (each.updated_at, each.annotation_id)):
            if header.completed_by is not None:
                newest[header.completed_by] = header
        pairs += combinations((newest[user] for user in sorted(newest)), 2)
    return pairs


def findings_by_image(correction: Correction, tags: ControlTags) -> dict[str, list[Finding]]:
    """Return the findings of a correction on each image of its task; raises InvalidRegion."""
    read = interpret_images(correction.result, tags=tags, data=correction.task_data, sizes=correction.sizes)
    return {image_tags.image_key: list(each.findings) for image_tags, each in read}


def _agreements(
    first: Correction,
    second: Correction,
    rules: ReadingRules,
    records: ReadingRecords,
    tags: ControlTags,
) -> list[tuple[str, Agreement]]:
    """Return the agreement on each image; computed once, then stored."""
    spacing = spacing_of(first)
    on_first, on_second = findings_by_image(first, tags), findings_by_image(second, tags)
    found = []
    for image in on_first.keys() & on_second.keys():
        text = f"overlap {COMPARISON} {rules.digest} {digest_of_tags(tags)} {image}"
        agreement = records.agreement(
            first.content_hash,
            second.content_hash,
            digest=hashlib.sha256(text.encode()).hexdigest(),
            compute=partial(compare, on_first[image], on_second[image], rules=rules, spacing=spacing),
        )
        found.append((image, agreement))
    return sorted(found)
