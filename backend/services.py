"""What the routes work with, handed to them by `__main__` or by a test; nothing here is built on import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from backend.metrics import Metrics
from backend.model_host import ModelHost
from backend.reconciling import Reconciler
from backend.schedule import Schedule
from backend.shadow_model import ShadowModel
from backend.training import Training
from mammo.annotations import AnnotationStore
from mammo.dicom import Mammogram
from mammo.efforts.effort_records import Efforts
from mammo.errors import ModelNotFound, UnknownAnnotation
from mammo.models.champion_announcements import ChampionListener
from mammo.readings import ReadingService
from mammo.runs.jobs import JobQueue
from mammo.settings import Settings
from mammo.stages import StageService
from mammo.trace import Trace


class Images(Protocol):
    """`mammo.images.task_images.TaskImages`."""

    def open(self, data: Mapping[str, Any], /) -> Mammogram: ...


def _nothing_known(annotation: int) -> Trace:
    raise UnknownAnnotation(f"nothing is known of annotation {annotation}")


def _nothing_done(_project: int) -> Efforts:
    return Efforts()


def _nothing_compared(_project: int, versions: Sequence[str]) -> dict[str, Any]:
    raise ModelNotFound(f"nothing is known of {', '.join(versions)}")


class NextTasks(Protocol):
    """`mammo.labelstudio.LabelStudioClient.next_tasks`."""

    def __call__(
        self, project: int, task: int, count: int, /, *, by_score: bool = False
    ) -> list[dict[str, Any]]: ...


def no_next_tasks(
    _project: int, _task: int, _count: int, /, *, by_score: bool = False
) -> list[dict[str, Any]]:
    """Without Label Studio's API nobody knows."""
    return []


def _all_are_shown(_project: int, _task: int, _data: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Services:
    """One running backend."""

    settings: Settings
    store: AnnotationStore
    queue: JobQueue
    training: Training
    """Asks for runs, and shows, stops and resumes them."""

    host: ModelHost
    images: Images
    metrics: Metrics = field(default_factory=Metrics)
    trace: Callable[[int], Trace] = _nothing_known
    """Follows one annotation."""

    efforts: Callable[[int], Efforts] = _nothing_done
    """What the corrections of a project cost."""

    next_tasks: NextTasks = no_next_tasks
    """What annotators get after a task, as Label Studio tells it."""
    withheld: Callable[[int, int, Mapping[str, Any]], str | None] = _all_are_shown
    """Why annotators get no prelabel of a task; None: they get one."""

    stages: StageService | None = None
    """None in a backend that keeps no stages."""

    reading_service: ReadingService | None = None
    """Where double readings are run; None where Label Studio's API is not to be asked."""

    insecure: bool = False
    """Let in whoever comes from this machine, without a secret; only when asked for on the command line."""

    reconciler: Reconciler | None = None
    """None where Label Studio's API is not to be asked."""

    schedule: Schedule | None = None
    """Retrains by the clock, and runs that were left behind; None in tests that ask themselves."""

    shadow: ShadowModel | None = None
    """The version that predicts silently beside the champion; None: the settings name none."""

    comparison: Callable[[int, Sequence[str]], dict[str, Any]] = _nothing_compared
    """What two versions said of the same tasks of a project, and how far each was from the corrections."""

    news: Callable[[Callable[[], None]], ChampionListener] | None = None
    """Makes what wakes the model host when the champion has moved; None: it only looks in turn."""

    closing: tuple[Callable[[], None], ...] = ()
    """Called when the server stops, after the store is closed."""
