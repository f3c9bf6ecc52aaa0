"""Cases: the current state of each task that is read twice, computed from the annotation store.

The latest round that both readers have completed decides. The arbiter's annotation overrides it. The only thing
written is the agreement of two readings, as a cache; annotations are never changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from mammo.annotations import Correction
from mammo.errors import InvalidRegion, InvalidTaskData
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.identifiers import identifier
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags
from mammo.readings.agreement import Agreement
from mammo.readings.records import ARBITER, READERS, DoubleReading, ReadingRecords, Role
from mammo.readings.rules import ReadingRules
from mammo.readings.task_readings import task_agreement, task_consensus

Outcome = Literal["waiting", "agreed", "disagreed", "arbitrated", "unreadable"]
"""`waiting`: no round has been read by both readers. `unreadable`: a region of a reading, or its task's data, cannot be
interpreted."""

COMPARISON = 4
"""Version of the comparison; increment it when its results change, so that stored agreements are computed anew."""

RoundReadings = tuple[Correction | None, Correction | None]
"""The first and the second reader's annotation in one round; None until the reader submits."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image, or the images of one exam, and all its readings."""

    id: int
    """Task of the source project that shows it."""

    rounds: tuple[RoundReadings, ...]
    """Readings of each round."""

    num_assigned_rounds: int
    """Rounds in which both readers have a task for the image."""

    arbiter: Correction | None
    """The arbiter's annotation."""

    has_arbiter_task: bool
    """Whether the arbiter has a task for the image."""

    outcome: Outcome
    decisive_round: int | None = None
    """Latest round that both readers have completed, from 1; None if there is none."""

    agreements: tuple[Agreement | None, ...] = ()
    """Agreement of each round; None where a reading is missing or cannot be interpreted."""

    problem: str = ""
    """Why the case is `unreadable`; otherwise empty."""

    @property
    def agreement(self) -> Agreement | None:
        """Agreement of the decisive round."""
        return None if self.decisive_round is None else self.agreements[self.decisive_round - 1]

    @property
    def readings(self) -> tuple[Correction, Correction] | None:
        """Readings of the decisive round."""
        return None if self.decisive_round is None else complete(self.rounds[self.decisive_round - 1])

    @property
    def patient(self) -> str:
        """Patient key; `case-<id>` for an image that states none."""
        readings = [reading for readings in self.rounds for reading in readings if reading is not None]
        try:
            patients = [patient_of(reading) for reading in readings]
        except InvalidTaskData:  # the case is `unreadable` for the same reason
            patients = []
        return next(filter(None, patients), f"case-{self.id}")

    @property
    def has_open_round(self) -> bool:
        """Whether a round after the decisive one has been assigned."""
        return self.num_assigned_rounds > (self.decisive_round or 0)

    def next_step(self, rules: ReadingRules) -> Literal["round", "arbiter"] | None:
        """Return what a disagreement still has to be assigned to: another round or the arbiter; None if nothing."""
        if self.outcome != "disagreed" or self.has_open_round:
            return None
        if self.num_assigned_rounds < rules.rounds:
            return "round"
        return None if self.has_arbiter_task else "arbiter"


@dataclass(frozen=True)
class Cases:
    """All cases of one double reading."""

    cases: tuple[Case, ...]
    ignored: Mapping[Role, int] = field(default_factory=dict)
    """Annotations by role that do not count, because another user made them in the reader's project."""


def cases_of(
    double: DoubleReading,
    *,
    corrections: Callable[[int], Sequence[Correction]],
    sizes: Callable[[int], Mapping[int, Mapping[str, Size]]],
    records: ReadingRecords,
    tags: ControlTags,
) -> Cases:
    """Return the current state of every case.

    Args:
        corrections: Returns the current view of a project; `AnnotationStore.corrections`.
        sizes: Returns the sizes of a project's images, by task and image key; `AnnotationStore.image_sizes`.
        tags: Labels and prompt controls of the source project.
    """
    annotations: dict[tuple[Role, int], dict[int, Correction]] = {}
    ignored: dict[Role, int] = {}
    for (role, round_number), project in double.projects.items():
        view = corrections(project.id)
        counted = [each for each in view if double.users.get(role) in (None, each.completed_by)]
        ignored[role] = ignored.get(role, 0) + len(view) - len(counted)
        annotations[role, round_number] = _newest_by_task(counted)
    ids = sorted({case for project in double.projects.values() for case in project.tasks})
    known = sizes(double.source)  # the readers' tasks show the images of the source's
    return Cases(
        tuple(_case(case, double, annotations, known.get(case, {}), records, tags) for case in ids),
        {role: count for role, count in ignored.items() if count},
    )


def consensus_of(case: Case, image: str, *, rules: ReadingRules, tags: ControlTags) -> list[Finding]:
    """Return the consensus of the two readings of a case whose readings agree, on one of its images.

    Args:
        image: image key.
    """
    assert case.readings is not None
    assert case.agreement is not None
    return task_consensus(*case.readings, case.agreement, image=image, rule=rules.consensus, tags=tags)


def complete(readings: RoundReadings) -> tuple[Correction, Correction] | None:
    """Return both readings of a round; None if one is missing."""
    first, second = readings
    return None if first is None or second is None else (first, second)


def patient_of(correction: Correction) -> str | None:
    """Return the patient key that the task states; None if it states none.

    Raises:
        InvalidTaskData: The patient key cannot be read.
    """
    return identifier(correction.task_data.get("patient"))


def _newest_by_task(corrections: Iterable[Correction]) -> dict[int, Correction]:
    return {
        each.task_id: each
        for each in sorted(corrections, key=lambda each: (each.updated_at, each.annotation_id))
    }


def _case(
    case: int,
    double: DoubleReading,
    annotations: Mapping[tuple[Role, int], Mapping[int, Correction]],
    sizes: Mapping[str, Size],
    records: ReadingRecords,
    tags: ControlTags,
) -> Case:
    def annotation(role: Role, round_number: int) -> Correction | None:
        project = double.project(role, round_number)
        task = project.tasks.get(case) if project else None
        found = None if task is None else annotations[role, round_number].get(task)
        return None if found is None else replace(found, sizes={**found.sizes, **sizes})

    num_assigned = _num_assigned_rounds(case, double)
    rounds = tuple((annotation(READERS[0], n), annotation(READERS[1], n)) for n in range(1, num_assigned + 1))
    outcome: Outcome = "waiting"
    decisive_round, problem = None, ""
    agreements: list[Agreement | None] = []
    for round_number, readings in enumerate(rounds, 1):
        both, agreement = complete(readings), None
        if both is not None:
            decisive_round = round_number
            try:
                for reading in both:
                    patient_of(reading)
                agreement = _agreement(*both, double.rules, records, tags)
                outcome, problem = "agreed" if agreement.agreed else "disagreed", ""
            except (InvalidRegion, InvalidTaskData) as error:
                outcome, problem = "unreadable", str(error)
        agreements.append(agreement)
    arbiter, arbiter_project = annotation(ARBITER, 1), double.project(ARBITER)
    return Case(
        id=case,
        rounds=rounds,
        num_assigned_rounds=num_assigned,
        arbiter=arbiter,
        has_arbiter_task=arbiter_project is not None and case in arbiter_project.tasks,
        outcome="arbitrated" if arbiter is not None else outcome,
        decisive_round=decisive_round,
        agreements=tuple(agreements),
        problem=problem,
    )


def _num_assigned_rounds(case: int, double: DoubleReading) -> int:
    """Return the last round in which both readers have a task for the case; 0 if there is none."""
    last_round = max(round_number for _, round_number in double.projects)
    assigned = (
        round_number
        for round_number in range(1, last_round + 1)
        if all((project := double.project(role, round_number)) and case in project.tasks for role in READERS)
    )
    return max(assigned, default=0)


def _agreement(
    first: Correction,
    second: Correction,
    rules: ReadingRules,
    records: ReadingRecords,
    tags: ControlTags,
) -> Agreement:
    digest = hashlib.sha256(f"{COMPARISON} {rules.digest} {digest_of_tags(tags)}".encode()).hexdigest()
    return records.agreement(
        first.content_hash,
        second.content_hash,
        digest=digest,
        compute=partial(task_agreement, first, second, rules=rules, tags=tags),
    )
