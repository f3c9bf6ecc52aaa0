"""Cases: what is known now of each image that is read twice, from the annotation store alone.

The newest round in which both readers have read decides. An arbiter's answer stands above it. Nothing is written
but the agreement of two readings, which is computed once; sources are never changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mammo.annotations import Correction
from mammo.errors import InvalidRegion, InvalidTaskData
from mammo.findings import Finding
from mammo.geometry import Spacing
from mammo.identifiers import identifier
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags
from mammo.readings.agreement import Agreement, compare
from mammo.readings.consensus import consensus
from mammo.readings.records import ARBITER, READERS, DoubleReading, ReadingRecords, Role
from mammo.readings.rules import ReadingRules
from mammo.stated_facts import stated_spacing

Outcome = Literal["waiting", "agreed", "disagreed", "arbitrated", "unreadable"]
"""`waiting`: not both readers have read. `unreadable`: a region of a reading, or its task, cannot be understood."""

COMPARISON = 2
"""Raised when two readings would be compared otherwise than before: what was kept is then judged anew."""

_WAITING: Outcome = "waiting"

Readings = tuple[Correction | None, Correction | None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image and all that was read in it."""

    case: int
    """Task of the source project."""

    rounds: tuple[Readings, ...]
    """What each of the two readers said, round by round."""

    asked: int
    """Rounds whose tasks are there, for both readers."""

    arbiter: Correction | None
    with_arbiter: bool
    """The arbiter has a task for it."""

    outcome: Outcome
    decided_in: int | None = None
    """The round whose two readings are compared, from 1; None while there are none."""

    agreements: tuple[Agreement | None, ...] = ()
    """Round by round; None where not both have read, or a reading cannot be understood."""

    problem: str = ""
    """Of an unreadable one, what is wrong."""

    @property
    def agreement(self) -> Agreement | None:
        """Of the readings that are compared."""
        return None if self.decided_in is None else self.agreements[self.decided_in - 1]

    @property
    def readings(self) -> tuple[Correction, Correction] | None:
        """The two readings that are compared."""
        return None if self.decided_in is None else pair(self.rounds[self.decided_in - 1])

    @property
    def patient(self) -> str:
        """Patient key, or a name of its own for an image that states none."""
        known = [each for said in self.rounds for each in said if each is not None]
        try:
            stated = [patient_of(each) for each in known]
        except InvalidTaskData:  # then the case is `unreadable`, for this reason
            stated = []
        return next(filter(None, stated), f"case-{self.case}")

    def due(self, rules: ReadingRules) -> Literal["round", "arbiter"] | None:
        """What a disagreement waits for that has not been set up: another round, or the arbiter."""
        if self.outcome != "disagreed" or self.asked > (self.decided_in or 0):
            return None
        if self.asked < rules.rounds:
            return "round"
        return None if self.with_arbiter else "arbiter"


@dataclass(frozen=True)
class Cases:
    """All of one double reading."""

    cases: tuple[Case, ...]
    strangers: Mapping[Role, int] = field(default_factory=dict)
    """Annotations in a reader's project that somebody else made: they do not count."""


def cases_of(
    double: DoubleReading,
    *,
    corrections: Callable[[int], Sequence[Correction]],
    records: ReadingRecords,
    tags: ControlTags,
) -> Cases:
    """The present state of every case.

    Args:
        corrections: the current view of a project; `AnnotationStore.corrections`.
        tags: the project's labels and prompt controls.
    """
    said: dict[tuple[Role, int], dict[int, Correction]] = {}
    strangers: dict[Role, int] = {}
    for (role, number), desk in double.desks.items():
        view = corrections(desk.project)
        mine = [each for each in view if double.users.get(role) in (None, each.completed_by)]
        strangers[role] = strangers.get(role, 0) + len(view) - len(mine)
        said[role, number] = _newest(mine)
    known = sorted({case for desk in double.desks.values() for case in desk.tasks})
    return Cases(
        tuple(_case(case, double, said, records, tags) for case in known),
        {role: count for role, count in strangers.items() if count},
    )


def findings_of(correction: Correction, tags: ControlTags) -> list[Finding]:
    """What one reading found.

    Raises:
        InvalidRegion: a region cannot be read.
    """
    return from_regions(correction.result, tags=tags)


def consensus_of(case: Case, *, rules: ReadingRules, tags: ControlTags) -> list[Finding]:
    """What the two readings of an agreed case say together."""
    assert case.readings is not None
    assert case.agreement is not None
    first, second = (findings_of(each, tags) for each in case.readings)
    return consensus(first, second, case.agreement, rule=rules.consensus)


def pair(said: Readings) -> tuple[Correction, Correction] | None:
    """Both readings of a round, once both are there."""
    first, second = said
    return None if first is None or second is None else (first, second)


def patient_of(correction: Correction) -> str | None:
    """Who the task says it is; None where it does not.

    Raises:
        InvalidTaskData: it cannot be read.
    """
    return identifier(correction.task_data.get("patient"))


def spacing_of(correction: Correction) -> Spacing | None:
    """Of the image's pixels, as the task states it.

    Raises:
        InvalidTaskData: it cannot be read.
    """
    return stated_spacing(correction.task_data.get("spacing_mm"))


def _newest(corrections: Iterable[Correction]) -> dict[int, Correction]:
    """The newest annotation of each task."""
    return {
        each.task_id: each
        for each in sorted(corrections, key=lambda each: (each.updated_at, each.annotation_id))
    }


def _case(
    case: int,
    double: DoubleReading,
    said: Mapping[tuple[Role, int], Mapping[int, Correction]],
    records: ReadingRecords,
    tags: ControlTags,
) -> Case:
    def told(role: Role, number: int) -> Correction | None:
        desk = double.desk(role, number)
        task = desk.tasks.get(case) if desk else None
        return None if task is None else said[role, number].get(task)

    def is_asked(number: int) -> bool:
        return all((desk := double.desk(role, number)) and case in desk.tasks for role in READERS)

    asked = max(filter(is_asked, range(1, 1 + max(number for _, number in double.desks))), default=0)
    rounds = tuple((told(READERS[0], n), told(READERS[1], n)) for n in range(1, asked + 1))
    desk = double.desk(ARBITER)
    with_arbiter = desk is not None and case in desk.tasks
    arbiter = told(ARBITER, 1)
    agreements: list[Agreement | None] = []
    decided_in, outcome, problem = None, _WAITING, ""
    for number, readings in enumerate(rounds, 1):
        both, agreement = pair(readings), None
        if both is not None:
            decided_in = number
            try:
                for each in both:
                    patient_of(each)
                agreement = _judged(*both, double.rules, records, tags)
                outcome, problem = "agreed" if agreement.agreed else "disagreed", ""
            except (InvalidRegion, InvalidTaskData) as error:
                outcome, problem = "unreadable", str(error)
        agreements.append(agreement)
    return Case(
        case=case,
        rounds=rounds,
        asked=asked,
        arbiter=arbiter,
        with_arbiter=with_arbiter,
        outcome="arbitrated" if arbiter is not None else outcome,
        decided_in=decided_in,
        agreements=tuple(agreements),
        problem=problem,
    )


def _judged(
    first: Correction,
    second: Correction,
    rules: ReadingRules,
    records: ReadingRecords,
    tags: ControlTags,
) -> Agreement:
    def judge() -> Agreement:
        return compare(
            findings_of(first, tags), findings_of(second, tags), rules=rules, spacing=spacing_of(first)
        )

    by = hashlib.sha256(f"{COMPARISON} {rules.digest} {digest_of_tags(tags)}".encode()).hexdigest()
    return records.agreement(first.content_hash, second.content_hash, by=by, judge=judge)
