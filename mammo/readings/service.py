"""ReadingService: the steps of a double reading in Label Studio; each can be interrupted and repeated.

create        create a project for each reader and one for the arbiter
sync          update tasks from the source project, and reconcile annotations with Label Studio
second_look   give disputed images to both readers again, each blind to the other, until the last round
arbitrate     give the images that are still disputed to the arbiter
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from mammo.annotations import AnnotationStore
from mammo.errors import ReadingConflict
from mammo.exam_views import without_findings
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags
from mammo.readings.cases import Case, Cases, cases_of
from mammo.readings.predictions import (
    ARBITER_VERSION,
    SECOND_LOOK_VERSION,
    arbiter_predictions,
    basis,
    second_look_predictions,
)
from mammo.readings.projects import SyncedTasks, TaskSpec, open_reader_project, show_version, sync_tasks
from mammo.readings.records import ARBITER, READERS, ROLES, DoubleReading, ReadingRecords, Role
from mammo.readings.rules import ReadingRules

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one step changed."""

    source: int
    """Source project."""

    added: Mapping[str, int] = field(default_factory=dict)
    """Number of tasks created, by role and round, such as `reader-1 round 2`."""

    removed: int = 0
    """Untouched tasks deleted because they were no longer needed."""

    repaired: int = 0
    """Annotations restored whose webhooks were lost."""

    orphans: int = 0
    """Cases whose task in the source project has been deleted."""


@dataclass(frozen=True, kw_only=True)
class ReadingService:
    """Runs double readings."""

    client: LabelStudioClient
    store: AnnotationStore
    records: ReadingRecords
    reconcile: Callable[[int], int]
    """Reconciles one project with Label Studio; returns the number of repaired annotations."""

    secret: bytes
    """Key of the order of tasks, and of which reading the arbiter sees as reading A."""

    lock: Path
    """Lock file; only the process that holds its lock may run a step."""

    prepare: Callable[[int, int], None] = lambda _source, _project: None
    """Gives a new reader project (second argument) the storages and webhook of the source project (first)."""

    def create(
        self, source: int, *, rules: ReadingRules, emails: Mapping[Role, str] | None = None
    ) -> DoubleReading:
        """Start a double reading: create three projects and their tasks.

        Args:
            emails: Label Studio accounts by role. Only annotations of that account count in the role's project; for a
                role without an account, annotations of any user count.

        Raises:
            ReadingConflict: An account does not exist or has two roles, the project already has another double
                reading, or its tasks show lists of images.
            LabelStudioError: Label Studio refuses.
        """
        users = self._user_ids(emails or {})
        self.tags(source)  # refuse an unknown or unsuitable project before anything is stored
        self.records.create(source, rules=rules, users=users)
        self.sync(source)
        return self.records.find(source)

    def sync(self, source: int) -> StepResult:
        """Update projects and tasks from the source project, and reconcile annotations with Label Studio.

        Raises:
            UnknownReading: The project has no double reading.
            ReadingConflict: Another step is running.
            LabelStudioError: Label Studio cannot be reached or refuses; completed changes persist.
        """
        with self._exclusive():
            return self._sync(source)

    def second_look(self, source: int) -> StepResult:
        """Give both readers the disputed images again, where another round is left. Raises the errors of `sync`."""
        with self._exclusive():
            result = self._sync(source)
            double = self.records.find(source)
            disputed = [case for case in self.cases(source).cases if case.next_step(double.rules) == "round"]
            data = self._source_data(source)
            shows_own = double.rules.second_look == "own"
            added = dict(result.added)
            for round_number in sorted({case.num_assigned_rounds + 1 for case in disputed}):
                for role in READERS:
                    specs = {
                        case.id: TaskSpec(
                            data=data[case.id],
                            predictions=partial(_own_reading, case, role) if shows_own else tuple,
                        )
                        for case in disputed
                        if case.num_assigned_rounds + 1 == round_number and case.id in data
                    }
                    synced = self._assign(double, role, round_number, specs=specs)
                    added |= _task_counts(role, round_number, synced.added)
            return replace(result, added=added)

    def arbitrate(self, source: int) -> StepResult:
        """Give the arbiter the images still disputed after the last round, and withdraw those that are settled.

        Raises the errors of `sync`.
        """
        with self._exclusive():
            result = self._sync(source)
            double, cases = self.records.find(source), self.cases(source).cases
            tags = self.tags(source)
            data = self._source_data(source)
            specs = {
                case.id: TaskSpec(
                    data=data[case.id],
                    predictions=partial(
                        arbiter_predictions, case, source=source, secret=self.secret, tags=tags
                    ),
                    basis=basis(case),
                )
                for case in cases
                if case.id in data and _needs_arbiter(case, double.rules)
            }
            settled = [
                case.id for case in cases if case.has_arbiter_task and case.outcome in ("agreed", "waiting")
            ]
            synced = self._assign(double, ARBITER, 1, specs=specs, withdrawn=settled)
            return replace(
                result,
                added={**result.added, **_task_counts(ARBITER, 1, synced.added)},
                removed=result.removed + synced.removed,
            )

    def cases(self, source: int) -> Cases:
        """Return the state of every case, according to the annotation store."""
        return cases_of(
            self.records.find(source),
            corrections=self.store.corrections,
            sizes=self.store.image_sizes,
            records=self.records,
            tags=self.tags(source),
        )

    def tags(self, source: int) -> ControlTags:
        """Return the control tags of the source project, which its reader projects share.

        Raises:
            ReadingConflict: Its tasks show a list of images, whose number differs from task to task.
        """
        tags = ControlTags.read(self.client.project(source)["label_config"])
        if any(each.pages for each in (tags, *tags.siblings)):
            raise ReadingConflict(
                f"the tasks of project {source} show lists of mammograms, page by page, which a double reading cannot "
                "compare; make a project whose tasks show one image or an exam, and use that as the source"
            )
        return tags

    def _sync(self, source: int) -> StepResult:
        double = self.records.find(source)
        config = self.client.project(source)["label_config"]
        data = self._source_data(source)
        added: dict[str, int] = {}
        removed = 0
        for role, round_number in {**dict.fromkeys((role, 1) for role in ROLES), **double.projects}:
            project = self._open_project(double, role, round_number, config)
            reads_every_image = role != ARBITER and round_number == 1
            specs = {case: TaskSpec(data=row) for case, row in data.items()} if reads_every_image else {}
            synced = self._sync_tasks(source, project, role, round_number, specs=specs)
            added |= _task_counts(role, round_number, synced.added)
            removed += synced.removed
        double = self.records.find(source)
        repaired = sum(map(self.reconcile, (source, *double.project_ids)))
        case_ids = {case for project in double.projects.values() for case in project.tasks}
        log.info("double reading synchronised", source=source, added=sum(added.values()), repaired=repaired)
        return StepResult(
            source=source,
            added=added,
            removed=removed,
            repaired=repaired,
            orphans=len(case_ids - data.keys()),
        )

    def _assign(
        self,
        double: DoubleReading,
        role: Role,
        round_number: int,
        *,
        specs: Mapping[int, TaskSpec],
        withdrawn: Sequence[int] = (),
    ) -> SyncedTasks:
        """Create tasks with predictions in a reader project, which is created if it is missing."""
        source = double.source
        config = self.client.project(source)["label_config"]
        project = self._open_project(double, role, round_number, config)
        synced = self._sync_tasks(source, project, role, round_number, specs=specs, withdrawn=withdrawn)
        if role == ARBITER and synced.tasks:
            show_version(self.client, project, ARBITER_VERSION)
        elif role != ARBITER and round_number > 1 and double.rules.second_look == "own" and synced.tasks:
            show_version(self.client, project, SECOND_LOOK_VERSION)
        return synced

    def _open_project(self, double: DoubleReading, role: Role, round_number: int, config: str) -> int:
        """Return the id of a reader project; a new one is prepared before it is recorded."""
        source, recorded = double.source, double.project(role, round_number)
        project = open_reader_project(
            self.client,
            source,
            role,
            round_number,
            config=config,
            recorded=recorded.id if recorded else None,
        )
        if recorded is None:
            self.prepare(source, project)
            self.records.record_project(source, role, round_number, project)
        return project

    def _sync_tasks(
        self,
        source: int,
        project: int,
        role: Role,
        round_number: int,
        *,
        specs: Mapping[int, TaskSpec],
        withdrawn: Sequence[int] = (),
    ) -> SyncedTasks:
        order_key = self.secret + f"{role} {round_number}".encode()
        synced = sync_tasks(
            self.client, source, project, specs=specs, withdrawn=withdrawn, order_key=order_key
        )
        self.records.record_tasks(project, synced.tasks)
        return synced

    def _source_data(self, source: int) -> dict[int, dict[str, Any]]:
        """Return the data of every task of the source project, by task, without what the model says of it."""
        return {int(task["id"]): without_findings(task["data"]) for task in self.client.tasks(source)}

    def _user_ids(self, emails: Mapping[Role, str]) -> dict[Role, int]:
        if not emails:
            return {}
        accounts = {str(user["email"]).casefold(): int(user["id"]) for user in self.client.users()}
        missing = [email for email in emails.values() if email.casefold() not in accounts]
        if missing:
            raise ReadingConflict(
                f"{len(missing)} of the {len(emails)} accounts named do not exist in Label Studio; invite them first"
            )
        users = {role: accounts[email.casefold()] for role, email in emails.items()}
        if len(set(users.values())) != len(users):
            raise ReadingConflict(
                "one account has two roles; the two readers and the arbiter must be three different people"
            )
        return users

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the lock file; two concurrent steps would create tasks twice. A killed process releases the lock."""
        self.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ReadingConflict(
                    "another step of a double reading is running; try again when it has finished",
                    code="reading_busy",
                ) from None
            yield


def _needs_arbiter(case: Case, rules: ReadingRules) -> bool:
    """Return whether a case is to be assigned to the arbiter, or stays assigned."""
    return case.next_step(rules) == "arbiter" or (case.has_arbiter_task and case.outcome == "disagreed")


def _own_reading(case: Case, role: Role) -> list[dict[str, Any]]:
    assert case.readings is not None
    return second_look_predictions(case.readings[READERS.index(role)])


def _task_counts(role: Role, round_number: int, count: int) -> dict[str, int]:
    name = role if role == ARBITER else f"{role} round {round_number}"
    return {name: count} if count else {}
