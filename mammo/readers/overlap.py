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
from mammo.labelstudio.descriptors import exam_descriptors
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags
from mammo.readings.agreement import Agreement, compare
from mammo.readings.cases import COMPARISON
from mammo.readings.records import ReadingRecords
from mammo.readings.rules import ReadingRules
from mammo.readings.task_readings import findings_by_image, spacings_by_image

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


def _agreements(
    first: Correction,
    second: Correction,
    rules: ReadingRules,
    records: ReadingRecords,
    tags: ControlTags,
) -> list[tuple[str, Agreement]]:
    """Return the agreement on each image; computed once, then stored."""
    spacings = spacings_by_image(first, tags)
    on_first, on_second = findings_by_image(first, tags), findings_by_image(second, tags)
    said = exam_descriptors(first.result, tags).stated, exam_descriptors(second.result, tags).stated
    found = []
    for number, image in enumerate(sorted(on_first.keys() & on_second.keys())):
        text = f"overlap {COMPARISON} {rules.digest} {digest_of_tags(tags)} {image}"
        agreement = records.agreement(
            first.content_hash,
            second.content_hash,
            digest=hashlib.sha256(text.encode()).hexdigest(),
            compute=partial(
                compare,
                on_first[image],
                on_second[image],
                rules=rules,
                spacing=spacings.get(image),
                exams=({}, {}) if number else said,  # they count once, with the first image
            ),
        )
        found.append((image, agreement))
    return found
