"""Services: what the routes work with, passed in by `__main__` or by a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from backend.metrics import Metrics
from backend.model_host import ModelHost
from backend.notifying import Notifier
from backend.reconciling import Reconciler
from backend.retrain_triggers import RetrainTriggers
from backend.schedule import Schedule
from backend.shadow_model import ShadowModel
from mammo.annotations import AnnotationStore
from mammo.dicom import Mammogram
from mammo.images.downloads.hosts import Purpose
from mammo.images.task_images import LocalImage
from mammo.models.champion_announcements import ChampionListener
from mammo.runs.jobs import JobQueue
from mammo.settings import Settings
from mammo.site import Site


class Images(Protocol):
    """The images of tasks: `mammo.images.task_images.TaskImages`, or a `RecentImages` around it."""

    def open(self, data: Mapping[str, Any], /) -> Mammogram: ...

    def local(self, data: Mapping[str, Any], /) -> LocalImage | None: ...

    def fetch(
        self, data: Mapping[str, Any], /, *, deadline: float | None = None, purpose: Purpose = "background"
    ) -> LocalImage: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """One running backend."""

    site: Site
    host: ModelHost
    images: Images
    triggers: RetrainTriggers
    metrics: Metrics = field(default_factory=Metrics)

    insecure: bool = False
    """Admit requests from this machine without a secret; only with `--insecure` on the command line."""

    reconciler: Reconciler | None = None
    """None without Label Studio's API."""

    notifier: Notifier | None = None
    """None in tests that need no notifications."""

    result_sender: Notifier | None = None
    """Sends results to the PACS; None without one."""

    schedule: Schedule | None = None
    """None in tests that call `Schedule.round` themselves."""

    shadow: ShadowModel | None = None
    """Model that predicts silently beside the champion; None if the settings name none."""

    champion_listener: Callable[[Callable[[], None]], ChampionListener] | None = None
    """Makes the listener that wakes the model host when the champion changes; None: the host only polls."""

    @property
    def settings(self) -> Settings:
        return self.site.settings

    @property
    def store(self) -> AnnotationStore:
        return self.site.store

    @property
    def queue(self) -> JobQueue:
        return self.site.queue
