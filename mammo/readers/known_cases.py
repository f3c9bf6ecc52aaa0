"""KnownCases: tasks whose true findings an administrator has named, to see whether readers find them.

The truth of a case is an annotation in another project, its reference, which readers need not see; the revision that
was newest when the case was named stays the truth. There are no known cases unless somebody names them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction, CorrectionHeader
from mammo.audit.trail import append
from mammo.blinding import uniform_hash
from mammo.database import insert, known_case, reading, writing
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.errors import InvalidRegion, InvalidTaskData, UnknownAnnotation
from mammo.findings import Finding
from mammo.geometry import ASSUMED_SPACING, Spacing
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.project_tags import TagsLookup
from mammo.readers.tallies import Day, Tally
from mammo.readings.matching import match
from mammo.readings.rules import ReadingRules
from mammo.readings.task_readings import findings_by_image, spacings_by_image


@dataclass(frozen=True, kw_only=True)
class KnownCase:
    """One task with known truth."""

    task: int
    truth: int
    """Row id of the revision that is the truth."""


class KnownCases:
    """The known cases of all projects."""

    def __init__(self, engine: Engine, store: AnnotationStore) -> None:
        self._engine = engine
        self._store = store

    def of(self, project: int) -> list[KnownCase]:
        """Return the known cases of a project, by task."""
        columns = known_case.c
        statement = sa.select(columns.task, columns.truth).where(columns.project == project)
        with reading(self._engine) as connection:
            rows = connection.execute(statement.order_by(columns.task)).all()
        return [KnownCase(task=row.task, truth=row.truth) for row in rows]

    def name(self, project: int, task: int, *, annotation: int, actor: str) -> None:
        """Make a task a known case: its truth is as an annotation of its image draws it, in whatever project.

        Raises:
            UnknownAnnotation: there is no such annotation here, or it was deleted.
        """
        events = self._store.history(annotation)
        if not events or events[-1].content is None:
            raise UnknownAnnotation(f"annotation {annotation} is unknown or deleted; name one that exists")
        self._record(project, {task: events[-1].revision}, actor)

    def seed(
        self, project: int, *, reference: int, share: float, client: LabelStudioClient, actor: str
    ) -> list[int]:
        """Add tasks with known truth to a project until they are a share of its tasks.

        The tasks show the images of a reference project's tasks, whose corrections are the truth. Nothing in their data
        says so. They are chosen at random, and none twice.

        Args:
            share: in (0, 0.5].

        Returns:
            The new tasks.
        """
        before = self.of(project)
        total = int(client.project(project).get("task_number") or 0)
        # (known + n) / (total + n) = share
        lacking = math.ceil((share * total - len(before)) / (1 - share) - 1e-9)
        if lacking <= 0:
            return []
        used = {case.truth for case in before}
        candidates = _one_per_task(self._store.correction_headers(reference))
        free = [each for each in candidates if each.revision not in used]
        free.sort(key=lambda each: uniform_hash("known case", project, str(each.task_id)))
        chosen = free[:lacking]
        data = [dict(client.task(each.task_id)["data"]) for each in chosen]
        tasks = client.import_tasks(project, data)
        truth = {task: each.revision for task, each in zip(tasks, chosen, strict=True)}
        self._record(project, truth, actor)
        return tasks

    def tallies(self, project: int, *, secret: bytes, tags: TagsLookup) -> dict[Day, Tally]:
        """Compare what readers have drawn on the known cases of a project with the truth.

        Args:
            secret: key of the readers' pseudonyms.
            tags: returns the control tags of a project.
        """
        found: dict[Day, Tally] = {}
        for answer, truth in self._answers(project):
            try:
                drawn = findings_by_image(answer, tags(project))
                true = findings_by_image(truth, tags(truth.project_id))
                spacings = spacings_by_image(truth, tags(truth.project_id))
            except (InvalidRegion, InvalidTaskData):
                continue
            reader = annotator_pseudonym(answer.completed_by, secret=secret)
            tally = found.setdefault((reader, answer.updated_at.date()), Tally())
            for image in drawn.keys() & true.keys():
                _count(tally, true[image], drawn[image], spacings.get(image) or ASSUMED_SPACING)
        return found

    def _answers(self, project: int) -> Iterator[tuple[Correction, Correction]]:
        """Yield each correction of a known case, and its truth; the truth itself is nobody's answer."""
        cases = {case.task: case.truth for case in self.of(project)}
        if not cases:
            return
        headers = [each for each in self._store.correction_headers(project) if each.task_id in cases]
        truths = self._store.contents(sorted(set(cases.values())))
        answers = self._store.contents([each.revision for each in headers])
        for header in headers:
            truth = truths[cases[header.task_id]]
            if truth.annotation_id != header.annotation_id:
                yield answers[header.revision], truth

    def _record(self, project: int, truth: Mapping[int, int], actor: str) -> None:
        now = datetime.now(UTC)
        rows = [
            {"project": project, "task": task, "truth": revision, "actor": actor, "named_at": now}
            for task, revision in truth.items()
        ]
        if not rows:
            return
        with writing(self._engine) as connection:
            new = insert(connection, known_case)
            changed = {name: new.excluded[name] for name in ("truth", "actor", "named_at")}
            connection.execute(
                new.on_conflict_do_update(index_elements=["project", "task"], set_=changed), rows
            )
            subject = f"project {project}"
            append(
                connection,
                actor=actor,
                action="known cases named",
                subject=subject,
                reason=f"{len(rows)} tasks",
            )


def _one_per_task(headers: Sequence[CorrectionHeader]) -> list[CorrectionHeader]:
    """Return the corrections of tasks that have exactly one: with two, nobody says which is the truth."""
    by_task: dict[int, list[CorrectionHeader]] = {}
    for header in headers:
        by_task.setdefault(header.task_id, []).append(header)
    return [each[0] for each in by_task.values() if len(each) == 1]


def _count(tally: Tally, true: Sequence[Finding], drawn: Sequence[Finding], spacing: Spacing) -> None:
    rules = ReadingRules()
    pairs = match(true, drawn, min_iou=rules.match_iou, match_centres=rules.match_centres, spacing=spacing)
    tally.known_cases += 1
    tally.hits += len(pairs)
    tally.misses += len(true) - len(pairs)
    tally.false_marks += len(drawn) - len(pairs)
