"""Prelabelling of a project: predict every task that has no prediction of a model version yet, and push it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from mammo.annotations import AnnotationStore
from mammo.errors import ImageUnavailable, LabelStudioError, MammoError, StorageUnavailable
from mammo.exam_views import has_exam_keys
from mammo.labelstudio.client import PAGE, LabelStudioClient
from mammo.labelstudio.exam_page import exam_columns, named_patient
from mammo.labelstudio.predictions import suspicion
from mammo.prelabelling import ImagePrelabeller, Prediction, TaskPrelabeller
from mammo.settings import Settings
from mammo.site import Site
from training.datasets.items import is_about_one_image

PAUSES = (1.0, 5.0, 20.0)
"""Seconds to wait for Label Studio before each retry of a push."""

MAX_UNAVAILABLE = 5
"""After this many unavailable images in a row, their server is taken to be down."""

Withheld = Callable[[int, int, Mapping[str, Any]], str | None]
"""Takes project, task and task data; returns why annotators get no prelabel of the task, or None if they get one."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Part:
    """A part of a refresh: the unread tasks after one, until the time is up.

    A task that was annotated gets no new prelabel: nobody would read it. What is shown changes with the last part only,
    because Label Studio asks for no prediction of a task that has one of another version.
    """

    after: int
    """Id of the last task of the part before; 0: this is the first."""

    until: float
    """By `time.monotonic`."""

    @classmethod
    def of(cls, after: int, settings: Settings) -> Part:
        """Return the part that begins now."""
        return cls(after, time.monotonic() + settings.refresh_seconds)


def prelabel_tasks(
    project: int,
    prelabeller: ImagePrelabeller,
    *,
    site: Site,
    report: Callable[[str, float, str], None],
    withheld: Withheld,
    part: Part | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Predict the tasks that lack a prediction of this version, then show the version to annotators.

    Tasks without annotations come first, because somebody may be waiting for them. Each prediction is pushed before the
    next task is begun, so a kill loses at most one, and a second call completes the project. Predictions of other
    versions stay. A task whose image cannot be read gets no prediction, and the others go on.

    Args:
        report: called with stage, progress in [0, 1] and message; may raise to stop.
        withheld: whether annotators get a prelabel of a task. The prediction of a withheld task is stored and not
            pushed; nothing is written about it.
        part: of a refresh; None: all tasks.

    Returns:
        `version`, and the number of tasks `predicted`, `already` (predicted before), `withheld` and `failed` (by error
        code); `cut` counts the `findings` that predictions of this call do not show, and the `tasks` that have some. A
        part that leaves tasks to the next one has `after`, its last task.

    Raises:
        LabelStudioError: Label Studio does not answer or refuses; pushed predictions stay.
        ImageUnavailable: the image server is down.
        StorageUnavailable: our copy of a prediction could not be stored.
    """
    client = site.client
    described = client.project(project)
    tasks = TaskPrelabeller.of(
        prelabeller,
        project=project,
        config=described["label_config"],
        settings=site.settings,
        open_image=site.images.open,
        store=site.store,
        news=_news(site, project, prelabeller.version),
        words=site.word_head(project),
    )
    total, index, last = int(described.get("task_number") or 0), 0, None
    refresh = _Refresh(tasks, project, client, site.store, withheld, wait)
    for index, task in enumerate(_listed(client, project, part), 1):
        if part is not None and last is not None and time.monotonic() >= part.until:
            return refresh.summary() | {"after": last}
        refresh.prelabel(task)
        total = max(total, index)
        report("prelabel", min(index / total, 1.0), f"{index} of {total} tasks{refresh.cut}")
        last = task["id"]
    if index:
        report("prelabel", 1.0, f"{index} of {index} tasks{refresh.cut}")
    if refresh.num_shown or (part is not None and part.after > 0):
        client.set_model_version(project, prelabeller.version)
    return refresh.summary()


def _news(site: Site, project: int, version: str) -> list[str]:
    """Return the sentences for the note of every image; nothing while the database is away."""
    try:
        return site.news(project, version)
    except StorageUnavailable as error:
        log.warning("notifications cannot be read", project=project, code=error.code)
        return []


@dataclass
class _Cut:
    """Findings that predictions do not show."""

    tasks: int = 0
    findings: int = 0

    def add(self, num_cut: int) -> None:
        """Count those of one task."""
        self.tasks += num_cut > 0
        self.findings += num_cut

    def __str__(self) -> str:
        return f", {self.findings} findings of {self.tasks} tasks not shown" if self.tasks else ""


class _Failures:
    """Tasks whose image could not be read."""

    def __init__(self) -> None:
        self.by_code: Counter[str] = Counter()
        self.unavailable = 0
        """Unavailable images in a row."""

    def tolerate(self, error: MammoError, *, task: int) -> bool:
        """Count the failure of one task; return False if the job must end instead."""
        if isinstance(error, ImageUnavailable):
            self.unavailable += 1
            if self.unavailable == MAX_UNAVAILABLE:
                return False
        elif is_about_one_image(error):
            self.unavailable = 0
        else:
            return False
        self.by_code[error.code] += 1
        log.warning("task_not_prelabelled", task=task, code=error.code)
        return True


@dataclass
class _Refresh:
    """Predictions of one model version for the tasks of a project, and what became of them."""

    tasks: TaskPrelabeller
    project: int
    client: LabelStudioClient
    store: AnnotationStore
    withheld: Withheld
    wait: Callable[[float], None]
    counts: Counter[str] = field(default_factory=Counter)
    cut: _Cut = field(default_factory=_Cut)
    failures: _Failures = field(default_factory=_Failures)
    num_shown: int = 0
    """Tasks whose prediction of this version annotators see."""

    def prelabel(self, task: Mapping[str, Any]) -> None:
        """Predict a task, and push the prediction, unless Label Studio has one of this version or it is withheld."""
        number = task["id"]
        shown = self.withheld(self.project, number, task["data"]) is None
        prediction = None
        if task.get("total_predictions") != 0:
            prediction = _prediction(self.client, number, self.tasks.version)
        if prediction is not None:
            self.counts["already"] += 1
        else:
            try:
                prediction, num_cut = self._predict(number, task["data"], shown=shown)
            except MammoError as error:
                if not self.failures.tolerate(error, task=number):
                    raise
                return
            self.failures.unavailable = 0
            if shown:
                _push(self.client, number, prediction, self.tasks.version, wait=self.wait)
            self.counts["predicted" if shown else "withheld"] += 1
            self.cut.add(num_cut)
        if shown:
            self.num_shown += 1
            _fill_columns(self.client, task, prediction)

    def _predict(self, task: int, data: Mapping[str, Any], *, shown: bool) -> tuple[Prediction, int]:
        """Return a task's prediction, the stored one if there is one, and record whether annotators see it.

        Returns:
            The prediction, and the number of findings that it does not show.
        """
        tasks, project = self.tasks, self.project
        # The project's own threshold may have changed since the prediction was stored, so a shown one is predicted
        # again.
        if tasks.threshold is None or not shown:
            prelabel = tasks.recorded(task, data, project=project)
            if prelabel is not None:
                if shown:
                    self.store.show_prelabel(project, task, tasks.version)
                score = suspicion(prelabel.regions)
                stored = {"result": prelabel.regions, "score": score, "model_version": tasks.version}
                return stored, prelabel.num_cut or 0
        made = tasks.predict(task, data)
        tasks.record(task, made, project=project, shown=shown)
        return made.prediction, made.num_cut

    def summary(self) -> dict[str, Any]:
        """Return the result as `prelabel_tasks` does."""
        return {
            "version": self.tasks.version,
            **{name: self.counts[name] for name in ("predicted", "already", "withheld")},
            "failed": dict(self.failures.by_code),
            "cut": asdict(self.cut),
        }


def _listed(client: LabelStudioClient, project: int, part: Part | None) -> Iterator[dict[str, Any]]:
    """Yield the tasks to predict, in order: all of them, or the unread ones of a part."""
    return _unread_first(client, project) if part is None else _unread_after(client, project, part.after)


def _unread_after(client: LabelStudioClient, project: int, task: int) -> Iterator[dict[str, Any]]:
    """Yield the tasks without annotations after one, by id.

    A page begins after the last task of the page before, so a task that is annotated meanwhile moves no other one, and
    a part asks for no more of a large project than it predicts.
    """
    while page := client.next_tasks(project, task, PAGE):
        yield from page
        task = page[-1]["id"]


def _unread_first(client: LabelStudioClient, project: int) -> Iterator[dict[str, Any]]:
    """Yield every task once, those without annotations first.

    The tasks are listed twice, so that one whose annotations change meanwhile is not skipped.
    """
    done: set[int] = set()
    for unread_only in (True, False):
        for task in client.tasks(project):
            if task["id"] in done or (unread_only and task.get("total_annotations")):
                continue
            done.add(task["id"])
            yield task


def _prediction(client: LabelStudioClient, task: int, version: str) -> Prediction | None:
    """Return a task's prediction of a model version; None without one."""
    return next((each for each in client.predictions(task) if each.get("model_version") == version), None)


def _push(
    client: LabelStudioClient,
    task: int,
    prediction: Mapping[str, Any],
    version: str,
    *,
    wait: Callable[[float], None],
) -> None:
    """Push a prediction exactly once, through a restart or a locked database of Label Studio.

    A failed push may have stored the prediction all the same, so each retry looks for it first.
    """
    for pause in (*PAUSES, None):
        try:
            client.push_prediction(task, prediction)
        except LabelStudioError as error:
            if pause is None or not _is_temporary(error):
                raise
        else:
            return
        wait(pause)
        try:
            if _prediction(client, task, version) is not None:
                return
        except LabelStudioError as error:
            if not _is_temporary(error):
                raise


def _fill_columns(client: LabelStudioClient, task: Mapping[str, Any], prediction: Mapping[str, Any]) -> None:
    """Write what the list of tasks says of an exam and its prediction into its task, unless it says so already.

    The data are read again, since they may have changed since the tasks were listed. The prediction is there already,
    so a failure is logged only.

    Args:
        task: as it was listed; one that shows no exam has no such columns.
    """
    number, listed = task["id"], task["data"]
    if not has_exam_keys(listed):
        return
    columns = exam_columns(prediction["result"]) | named_patient(listed)
    if all(listed.get(name) == value for name, value in columns.items()):
        return
    try:
        client.set_task_data(number, client.task(number)["data"] | columns)
    except LabelStudioError as error:
        log.warning("columns of an exam not written", task=number, code=error.code)


def _is_temporary(error: LabelStudioError) -> bool:
    return error.code == "label_studio_unreachable" or error.code.startswith("label_studio_5")
