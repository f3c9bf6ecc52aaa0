"""SecondLookService: lists doubted labels, sends them back to their readers, and settles what was answered.

Readers see a tab of Label Studio's Data Manager, *Second look: NAME*, with the tasks that are sent back to them. Its
column `second_look` says what to look at and where. A submitted or updated annotation is the answer, also if nothing
was changed; the tasks then leave the tab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from mammo.annotations import AnnotationStore, Correction
from mammo.errors import InvalidRegion, LabelStudioError
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.project_tags import TagsLookup
from mammo.readers.project_readers import name_of
from mammo.readings.task_readings import findings_by_image
from mammo.second_looks.answers import answer_to
from mammo.second_looks.doubt import Answer, LabelDoubt, StoredDoubt
from mammo.second_looks.precision import Precision, band_of, precision_by
from mammo.second_looks.records import DoubtRecords, Settled

FIELD = "second_look"
"""Key in a task's data."""

TITLE = "Second look"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What was sent back."""

    doubts: int
    tasks: int
    tabs: Mapping[int, int]
    """Id of the tab in Label Studio by the reader's user id."""

    gone: int = 0
    """Doubts about tasks that are no longer in Label Studio."""


class SecondLookService:
    """Second looks of all projects."""

    def __init__(
        self,
        *,
        records: DoubtRecords,
        store: AnnotationStore,
        client: Callable[[], LabelStudioClient],
        tags: TagsLookup,
    ) -> None:
        """
        Args:
            client: returns Label Studio's client, or raises InvalidSettings.
        """
        self.records = records
        self._store = store
        self._client = client
        self._tags = tags

    def precision(self, project: int) -> dict[str, list[Precision]]:
        """Return the precision so far: over all doubts, by cause, and by band of score."""
        answered = self.records.answered(project)
        return {
            "all": precision_by(answered, lambda _: "all"),
            "cause": precision_by(answered, lambda doubt: doubt.cause),
            "score": precision_by(answered, band_of),
        }

    def send_back(self, project: int, *, limit: int, actor: str) -> Sent:
        """Send the strongest open doubts back to the readers of the labels.

        The doubts are recorded as sent once the readers can see them; after an error, another call completes it.

        Args:
            limit: largest number of doubts.

        Raises:
            LabelStudioError: Label Studio cannot be reached or refuses.
            InvalidSettings: Label Studio's address or API key is not set.
        """
        client = self._client()
        self.settle(project)
        chosen = [
            doubt
            for doubt in self.records.ranked(project, limit=limit, is_open=True)
            if doubt.user is not None
        ]
        waiting = self.records.waiting(project)
        sizes = self._store.image_sizes(project)
        names = {int(each["id"]): name_of(each) for each in client.users()}
        gone: set[int] = set()
        tasks = sorted({doubt.task for doubt in chosen})
        for task in tasks:
            asked = [each for each in (*waiting, *chosen) if each.task == task]
            if not self._ask(client, task, asked, sizes.get(task, {})):
                gone.add(task)
        readers = sorted(
            {doubt.user for doubt in chosen if doubt.user is not None and doubt.task not in gone}
        )
        tabs = {reader: self._tab(client, project, reader, names) for reader in readers}
        sent = [doubt for doubt in chosen if doubt.task not in gone]
        if sent:
            self.records.mark_sent(project, [doubt.id for doubt in sent], actor=actor)
        log.info("labels sent back", project=project, doubts=len(sent), readers=len(tabs))
        return Sent(
            doubts=len(sent),
            tasks=len({doubt.task for doubt in sent}),
            tabs=tabs,
            gone=len(chosen) - len(sent),
        )

    def settle(self, project: int) -> int:
        """Record the answers that have arrived since labels were sent back; returns their number. Safe to repeat.

        Raises:
            LabelStudioError: the project's labels cannot be fetched.
        """
        waiting = self.records.waiting(project)
        if not waiting:
            return 0
        newer = self.records.newer_revisions(waiting)
        current = {header.annotation_id for header in self._store.correction_headers(project)}
        contents = self._store.contents(
            sorted({*newer.values(), *(doubt.revision for doubt in waiting if doubt.id in newer)})
        )
        answers = []
        for doubt in waiting:
            if doubt.id in newer:
                after = contents.get(newer[doubt.id]) if doubt.annotation in current else None
                answer = self._answer(doubt, contents[doubt.revision], after)
                answers.append(Settled(doubt=doubt.id, answer=answer, revision=newer[doubt.id]))
        if answers:
            self.records.settle(answers)
            self._clear(project, [doubt for doubt in waiting if doubt.id in newer])
            log.info("second looks answered", project=project, answers=len(answers))
        return len(answers)

    def _answer(self, doubt: StoredDoubt, before: Correction, after: Correction | None) -> Answer:
        if after is None:  # deleted or skipped: the label is no more
            return "changed"
        if after.content_hash == before.content_hash:
            return "confirmed"
        tags = self._tags(doubt.project)
        try:
            old, new = findings_by_image(before, tags), findings_by_image(after, tags)
        except InvalidRegion:
            return "changed"
        empty: list[Finding] = []
        return answer_to(doubt, old.get(doubt.image, empty), new.get(doubt.image, empty))

    def _ask(
        self,
        client: LabelStudioClient,
        task: int,
        doubts: Sequence[StoredDoubt],
        sizes: Mapping[str, Size],
    ) -> bool:
        """Write what to look at into a task's data; returns False if the task is gone."""
        try:
            data = dict(client.task(task)["data"])
        except LabelStudioError as error:
            if error.code != "label_studio_404":
                raise
            return False
        parts: list[str] = []
        for reader in sorted({doubt.user for doubt in doubts if doubt.user is not None}):
            mine = [doubt for doubt in doubts if doubt.user == reader]
            asked = "; ".join(f"{place(each, sizes)}{each.sentence}" for each in mine)
            parts.append(f"{_mark(reader)} {asked}")
        client.set_task_data(task, data | {FIELD: " | ".join(parts)})
        return True

    def _clear(self, project: int, answered: Sequence[StoredDoubt]) -> None:
        """Take the tasks without an open question out of the tab; one that fails stays in it."""
        sizes = self._store.image_sizes(project)
        open_now = self.records.waiting(project)
        for task in sorted({doubt.task for doubt in answered}):
            left = [doubt for doubt in open_now if doubt.task == task]
            try:
                client = self._client()
                if left:
                    self._ask(client, task, left, sizes.get(task, {}))
                else:
                    data: dict[str, Any] = dict(client.task(task)["data"])
                    if data.pop(FIELD, None) is not None:
                        client.set_task_data(task, data)
            except LabelStudioError as error:
                log.warning("a task stays in the tab of second looks", task=task, code=error.code)

    def _tab(self, client: LabelStudioClient, project: int, reader: int, names: Mapping[int, str]) -> int:
        title = f"{TITLE}: {names.get(reader) or f'user {reader}'}"
        return client.show_marked_tab(project, title=title, field=FIELD, mark=_mark(reader))


def place(doubt: LabelDoubt, sizes: Mapping[str, Size]) -> str:
    """Return where to look, for a person: the view, and the place in percent from the left and the top."""
    view = f"{doubt.image}: " if doubt.image else ""
    size = sizes.get(doubt.image)
    if doubt.box is None or size is None:
        return view
    across = (doubt.box.x0 + doubt.box.x1) / 2 / size.width
    down = (doubt.box.y0 + doubt.box.y1) / 2 / size.height
    return f"{view}at {across:.0%} from the left and {down:.0%} from the top "


def _mark(reader: int) -> str:
    """Return what the tab of a reader looks for; no other reader's mark contains it."""
    return f"[{reader}]"
