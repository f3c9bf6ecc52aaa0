"""WorklistService: plan the reading order of a project's unread tasks, show it to annotators, and record it.

Annotators press *Label Tasks As Displayed* in the tab `TITLE`, which sorts by the field `FIELD` of the tasks' data. The
field holds the rank only, neither stratum nor score, so that it reveals nothing about a blind task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.labelstudio.client import LabelStudioClient
from mammo.worklist.order import Candidate, Place, Strategy, places, planned, record_order

FIELD = "reading_order"
TITLE = "Reading order"
DIGITS = 7
"""Digits of a rank in the field, with leading zeros, because Label Studio sorts text."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Result of planning an order."""

    project: int
    model_version: str
    places: list[Place]
    tab: int
    """Id of the tab in Label Studio."""

    unread: int
    """Unread tasks."""

    changed: int
    """Tasks whose place has changed."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many tasks of one strategy have been read."""

    strategy: str
    placed: int
    read: int
    """Without those that are `unreadable`."""

    unreadable: int
    """Annotated tasks whose annotation cannot be read."""


class WorklistService:
    """Plans the reading order of the projects of one installation."""

    def __init__(
        self,
        *,
        client: LabelStudioClient,
        store: AnnotationStore,
        engine: Engine,
        served_version: Callable[[int], str],
    ) -> None:
        """
        Args:
            served_version: Returns the model version that serves a project.
        """
        self._client = client
        self._store = store
        self._engine = engine
        self._served_version = served_version

    def plan(self, project: int, strategy: Strategy, *, positive_share: float, limit: int) -> Plan:
        """Place the unread tasks; an earlier plan is replaced.

        Repeating the call gives the same tasks the same places. The plan is recorded once annotators can see it; after
        an error, another call completes it.

        Args:
            positive_share: See `mammo.worklist.order.planned`.
            limit: Largest number of tasks to place; the others are read after them.

        Raises:
            LabelStudioError: Label Studio cannot be reached or refuses.
        """
        version = self._served_version(project)
        unread = {
            task["id"]: task["data"] for task in self._client.tasks(project) if not task["total_annotations"]
        }
        candidates = [self._candidate(project, task, version) for task in unread]
        order = planned(candidates, strategy, project=project, positive_share=positive_share, limit=limit)
        fields = {place.task: f"{place.rank:0{DIGITS}d}" for place in order}
        changed = 0
        for task, data in unread.items():
            new_data = {key: value for key, value in data.items() if key != FIELD}
            if task in fields:
                new_data[FIELD] = fields[task]
            if new_data != data:
                self._client.set_task_data(task, new_data)
                changed += 1
        tab = self._client.show_tab(project, title=TITLE, field=FIELD)
        record_order(self._engine, project, order)
        log.info("order planned", project=project, strategy=strategy, placed=len(order), changed=changed)
        return Plan(
            project=project,
            model_version=version,
            places=order,
            tab=tab,
            unread=len(unread),
            changed=changed,
        )

    def progress(self, project: int) -> list[Progress]:
        """Return how many tasks each strategy has placed, and how many of them have been read."""
        annotated = {header.task for header in self._store.revision_headers(project)}
        unreadable = self.unreadable(project)
        placed, read, lost = Counter[str](), Counter[str](), Counter[str]()
        for place in places(self._engine, project):
            placed[place.strategy] += 1
            read[place.strategy] += place.task in annotated and place.task not in unreadable
            lost[place.strategy] += place.task in unreadable
        return [
            Progress(strategy=name, placed=placed[name], read=read[name], unreadable=lost[name])
            for name in sorted(placed)
        ]

    def unreadable(self, project: int) -> dict[int, str]:
        """Return the tasks whose annotation cannot be read, with the code of the reason."""
        return self._store.unreadable_tasks(project)

    def following(self, project: int, count: int) -> list[Place]:
        """Return the next places of the last plan whose tasks are unread, in order."""
        read = {header.task for header in self._store.revision_headers(project)}
        unread = [place for place in places(self._engine, project) if place.task not in read]
        return sorted(unread, key=lambda place: place.rank)[:count]

    def _candidate(self, project: int, task: int, version: str) -> Candidate:
        prelabel = self._store.prelabel(project, task, version)
        if prelabel is None:
            return Candidate(task=task, stratum="unknown")
        return Candidate(
            task=task,
            stratum="positive"
            if any("original_width" in region for region in prelabel.regions)
            else "negative",
            score=prelabel.score,
            model_version=version,
        )
