"""ReadingService: the steps of a double reading in Label Studio, each safe to repeat and to interrupt.

create        a project for each reader and one for the arbiter
sync          tasks in step with the source project; annotations reconciled with Label Studio
second_look   what the readers disagree on goes to both again, each blind to the other, up to the last round
arbitrate     what they still disagree on goes to the arbiter
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from mammo.annotations import AnnotationStore, Correction
from mammo.errors import ReadingConflict
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags
from mammo.readings.cases import Case, Cases, cases_of
from mammo.readings.predictions import OWN, READINGS, basis, for_a_second_look, for_the_arbiter
from mammo.readings.projects import Kept, Wanted, keep_tasks, open_worklist, show_version
from mammo.readings.records import ARBITER, READERS, ROLES, DoubleReading, ReadingRecords, Role
from mammo.readings.rules import ReadingRules

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step did."""

    source: int
    added: Mapping[str, int] = field(default_factory=dict)
    """New tasks by role and round, such as `reader-1 round 2`."""

    removed: int = 0
    """Tasks nobody had begun that were not needed any more."""

    repaired: int = 0
    """Annotations that no webhook had told of."""

    orphans: int = 0
    """Cases whose task in the source project is gone."""


@dataclass(frozen=True, kw_only=True)
class ReadingService:
    """Where double readings are run."""

    client: LabelStudioClient
    store: AnnotationStore
    records: ReadingRecords
    reconcile: Callable[[int], int]
    """Reconciles one project with Label Studio; how much it repaired."""

    secret: bytes
    """Key of the order of tasks, and of which reading the arbiter sees as A."""

    lock: Path
    """A file; who holds its lock is the only one at work."""

    prepare: Callable[[int, int], None] = lambda _source, _project: None
    """Does to a new project, after the source project, what its images or webhooks need."""

    def create(
        self, source: int, *, rules: ReadingRules, emails: Mapping[Role, str] | None = None
    ) -> DoubleReading:
        """Begin to read a project twice: three projects and their tasks.

        Args:
            emails: Label Studio accounts by role; only they count in their projects. Missing: anybody's counts.

        Raises:
            ReadingConflict: an account is not there or has two roles, or the project is read otherwise already.
            LabelStudioError: Label Studio refuses.
        """
        users = self._users(emails or {})
        self.tags(
            source
        )  # refuses a project that is not there, or that cannot be compared, before anything is kept
        self.records.create(source, rules=rules, users=users)
        self.sync(source)
        return self.records.find(source)

    def sync(self, source: int) -> Step:
        """Put projects and tasks in step with the source project, and annotations with Label Studio.

        Raises:
            UnknownReading: the project is not read twice.
            ReadingConflict: somebody else is at work.
            LabelStudioError: Label Studio is gone or refuses; what was done stays done.
        """
        with self._alone():
            return self._sync(source)

    def second_look(self, source: int) -> Step:
        """Give both readers again what they disagree on, where another round is left. Raises as `sync` does."""
        with self._alone():
            step = self._sync(source)
            double, cases = self._state(source)
            due = [case for case in cases if case.due(double.rules) == "round"]
            rows = self._rows(source)
            own = double.rules.second_look == "own"
            added: dict[str, int] = {}
            for number in sorted({case.asked + 1 for case in due}):
                for role in READERS:
                    wanted = {
                        case.case: Wanted(
                            data=rows[case.case],
                            predictions=partial(_own, case, role) if own else tuple,
                        )
                        for case in due
                        if case.asked + 1 == number and case.case in rows
                    }
                    kept = self._give(double, role, number, wanted=wanted)
                    added |= _counted(role, number, kept.added)
            return _more(step, added)

    def arbitrate(self, source: int) -> Step:
        """Give the arbiter what the readers disagree on after the last round, and take back what is settled.

        Raises as `sync` does.
        """
        with self._alone():
            step = self._sync(source)
            double, cases = self._state(source)
            tags = self.tags(source)
            rows = self._rows(source)
            disputed = [
                case
                for case in cases
                if case.case in rows
                and (
                    case.due(double.rules) == "arbiter" or (case.with_arbiter and case.outcome == "disagreed")
                )
            ]
            wanted = {
                case.case: Wanted(
                    data=rows[case.case],
                    predictions=partial(for_the_arbiter, case, source=source, secret=self.secret, tags=tags),
                    basis=basis(case),
                )
                for case in disputed
            }
            settled = [
                case.case for case in cases if case.with_arbiter and case.outcome in ("agreed", "waiting")
            ]
            kept = self._give(double, ARBITER, 1, wanted=wanted, withdrawn=settled)
            return _more(step, _counted(ARBITER, 1, kept.added), kept.removed)

    def cases(self, source: int) -> Cases:
        """The present state of every case, as far as the annotation store knows."""
        return cases_of(
            self.records.find(source),
            corrections=self.store.corrections,
            records=self.records,
            tags=self.tags(source),
        )

    def tags(self, source: int) -> ControlTags:
        """The control tags of the source project, which all projects of its double reading share.

        Raises:
            ReadingConflict: its tasks show several images: readings are compared image by image, one a task.
        """
        tags = ControlTags.read(self.client.project(source)["label_config"])
        if tags.pages or tags.siblings:
            raise ReadingConflict(
                f"the tasks of project {source} show several mammograms, and two readings are compared one mammogram "
                "a task: make a project with a task for each image, and have that read twice"
            )
        return tags

    def _sync(self, source: int) -> Step:
        double = self.records.find(source)
        config = self.client.project(source)["label_config"]
        rows = self._rows(source)
        added: dict[str, int] = {}
        removed = 0
        for role, number in {**dict.fromkeys((role, 1) for role in ROLES), **double.desks}:
            project = self._open(double, role, number, config)
            first = role != ARBITER and number == 1
            wanted = {case: Wanted(data=data) for case, data in rows.items()} if first else {}
            kept = self._keep(source, project, role, number, wanted=wanted)
            added |= _counted(role, number, kept.added)
            removed += kept.removed
        double = self.records.find(source)
        repaired = sum(map(self.reconcile, (source, *double.projects)))
        known = {case for desk in double.desks.values() for case in desk.tasks}
        step = Step(
            source=source, added=added, removed=removed, repaired=repaired, orphans=len(known - rows.keys())
        )
        log.info("double reading in step", source=source, added=sum(added.values()), repaired=repaired)
        return step

    def _give(
        self,
        double: DoubleReading,
        role: Role,
        number: int,
        *,
        wanted: Mapping[int, Wanted],
        withdrawn: list[int] | None = None,
    ) -> Kept:
        """Put tasks with predictions on a desk, which is opened when it is missing."""
        source = double.source
        config = self.client.project(source)["label_config"]
        project = self._open(double, role, number, config)
        kept = self._keep(source, project, role, number, wanted=wanted, withdrawn=withdrawn or [])
        if role == ARBITER and kept.tasks:
            show_version(self.client, project, READINGS)
        elif role != ARBITER and number > 1 and double.rules.second_look == "own" and kept.tasks:
            show_version(self.client, project, OWN)
        return kept

    def _open(self, double: DoubleReading, role: Role, number: int, config: str) -> int:
        """The project of a role and round; one that is new is made ready before it is recorded."""
        source, desk = double.source, double.desk(role, number)
        known = desk.project if desk else None
        project = open_worklist(self.client, source, role, number, config=config, known=known)
        if known is None:
            self.prepare(source, project)
            self.records.record_project(source, role, number, project)
        return project

    def _keep(
        self,
        source: int,
        project: int,
        role: Role,
        number: int,
        *,
        wanted: Mapping[int, Wanted],
        withdrawn: list[int] | None = None,
    ) -> Kept:
        order = self.secret + f"{role} {number}".encode()
        kept = keep_tasks(self.client, source, project, wanted=wanted, withdrawn=withdrawn or [], order=order)
        self.records.record_tasks(project, kept.tasks)
        return kept

    def _rows(self, source: int) -> dict[int, dict[str, Any]]:
        """Data of every task of the source project."""
        return {int(task["id"]): dict(task["data"]) for task in self.client.tasks(source)}

    def _state(self, source: int) -> tuple[DoubleReading, tuple[Case, ...]]:
        return self.records.find(source), self.cases(source).cases

    def _users(self, emails: Mapping[Role, str]) -> dict[Role, int]:
        if not emails:
            return {}
        known = {str(user["email"]).casefold(): int(user["id"]) for user in self.client.users()}
        missing = [email for email in emails.values() if email.casefold() not in known]
        if missing:
            raise ReadingConflict(
                f"{len(missing)} of the {len(emails)} accounts named are not in Label Studio: invite them first"
            )
        users = {role: known[email.casefold()] for role, email in emails.items()}
        if len(set(users.values())) != len(users):
            raise ReadingConflict("two readers and an arbiter are three people: one account has two roles")
        return users

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two at work would make tasks twice. The system frees the lock of a process that is killed."""
        self.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ReadingConflict(
                    "another step of a double reading is under way; wait for its end", code="reading_busy"
                ) from None
            yield


def _own(case: Case, role: Role) -> list[dict[str, Any]]:
    assert case.readings is not None
    before: Correction = case.readings[READERS.index(role)]
    return for_a_second_look(before)


def _counted(role: Role, number: int, count: int) -> dict[str, int]:
    name = role if role == ARBITER else f"{role} round {number}"
    return {name: count} if count else {}


def _more(step: Step, added: Mapping[str, int], removed: int = 0) -> Step:
    return Step(
        source=step.source,
        added={**step.added, **added},
        removed=step.removed + removed,
        repaired=step.repaired,
        orphans=step.orphans,
    )
