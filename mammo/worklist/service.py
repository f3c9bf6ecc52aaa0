"""WorklistService: plans in which order a project's unread tasks are read, shows it to annotators, and writes it down.

Annotators press *Label Tasks As Displayed* in the tab `TITLE`, which sorts by the field `FIELD` of the tasks' data.
The field holds the place alone, neither stratum nor score: a reader of a blind task learns nothing from it.
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

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a plan did."""

    project: int
    model_version: str
    places: list[Place]
    tab: int
    """Number of the tab in Label Studio."""

    unread: int
    """Tasks that could have been given a place."""

    changed: int
    """Tasks whose place is another one than before."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the tasks of one strategy have been read."""

    strategy: str
    placed: int
    read: int


class WorklistService:
    """Plans orders for the projects of one installation."""

    def __init__(
        self,
        *,
        client: LabelStudioClient,
        store: AnnotationStore,
        engine: Engine,
        serving: Callable[[int], str],
    ) -> None:
        """
        Args:
            serving: the model version of a project.
        """
        self._client = client
        self._store = store
        self._engine = engine
        self._serving = serving

    def plan(self, project: int, strategy: Strategy, *, positive_share: float, limit: int) -> Plan:
        """Give the next unread tasks their places; whoever has one from an earlier plan loses it.

        Safe to repeat: the same tasks get the same places. Recorded once annotators see it; after a failure half way
        a second call does the rest.

        Args:
            positive_share: see `mammo.worklist.order.planned`.
            limit: most tasks to place; those without a place are read after them.

        Raises:
            LabelStudioError: Label Studio is gone or refuses.
        """
        version = self._serving(project)
        unread = {
            task["id"]: task["data"] for task in self._client.tasks(project) if not task["total_annotations"]
        }
        candidates = [self._candidate(project, task, version) for task in unread]
        found = planned(candidates, strategy, project=project, positive_share=positive_share, limit=limit)
        fields = {place.task: f"{place.rank:0{DIGITS}d}" for place in found}
        changed = 0
        for task, data in unread.items():
            wanted = {key: value for key, value in data.items() if key != FIELD}
            if task in fields:
                wanted[FIELD] = fields[task]
            if wanted != data:
                self._client.set_task_data(task, wanted)
                changed += 1
        tab = self._client.show_tab(project, title=TITLE, field=FIELD)
        record_order(self._engine, project, found)
        log.info("order planned", project=project, strategy=strategy, placed=len(found), changed=changed)
        return Plan(
            project=project,
            model_version=version,
            places=found,
            tab=tab,
            unread=len(unread),
            changed=changed,
        )

    def progress(self, project: int) -> list[Progress]:
        """Of each strategy that ever placed a task: how many it placed, and how many of them are read."""
        read = {heading.task for heading in self._store.outline(project)}
        placed, done = Counter[str](), Counter[str]()
        for place in places(self._engine, project):
            placed[place.strategy] += 1
            done[place.strategy] += place.task in read
        return [Progress(strategy=name, placed=placed[name], read=done[name]) for name in sorted(placed)]

    def following(self, project: int, count: int) -> list[Place]:
        """The places of the tasks that are not read yet, the next first, as they were planned last."""
        read = {heading.task for heading in self._store.outline(project)}
        waiting = [place for place in places(self._engine, project) if place.task not in read]
        return sorted(waiting, key=lambda place: place.rank)[:count]

    def _candidate(self, project: int, task: int, version: str) -> Candidate:
        known = self._store.prelabel(project, task, version)
        if known is None:
            return Candidate(task=task, stratum="unknown")
        return Candidate(
            task=task,
            stratum="positive" if any("original_width" in region for region in known.regions) else "negative",
            score=known.score,
            model_version=version,
        )
