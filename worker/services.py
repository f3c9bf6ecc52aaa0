"""Services: what jobs work with, built from the settings when a job first needs it.

`python -m worker` installs the settings before it forks; a job then builds its own connections in its own process,
because neither database connections nor threads survive a fork.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mammo.annotations import AnnotationStore
from mammo.blinding import Blinding
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.errors import InvalidSettings
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TaskImages
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.project_tags import ProjectTags
from mammo.models import STARTER, ModelFiles, ModelRegistry
from mammo.runs.jobs import JobQueue, redis_connection
from mammo.settings import Settings
from mammo.stages import StageService

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from mammo.pipeline import Prelabeller
    from training.retrain.context import RetrainContext


@dataclass(frozen=True)
class Services:
    """Everything lives as long as the job."""

    settings: Settings

    @cached_property
    def engine(self) -> Engine:
        return open_database(self.settings.database)

    @cached_property
    def store(self) -> AnnotationStore:
        return AnnotationStore(self.engine)

    @cached_property
    def registry(self) -> ModelRegistry:
        registry = ModelRegistry(self.engine, self.settings.blobs)
        registry.ensure_starter(STARTER)
        return registry

    @cached_property
    def queue(self) -> JobQueue:
        return JobQueue(redis_connection(self.settings.redis_url.get_secret_value()))

    @cached_property
    def client(self) -> LabelStudioClient:
        """Raises InvalidSettings when Label Studio's address or key is not set."""
        key = self.settings.label_studio_api_key.get_secret_value()
        if not self.settings.label_studio_url or not key:
            raise InvalidSettings(
                "the worker needs YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY for this job"
            )
        return LabelStudioClient(self.settings.label_studio_url, key)

    @cached_property
    def tags(self) -> ProjectTags:
        """The control tags of every project; raises InvalidSettings as `client` does."""
        return ProjectTags(self.client)

    @cached_property
    def service_account(self) -> LabelStudioClient:
        """Label Studio as the account of automatic annotations; raises InvalidSettings when its token is not set."""
        key = self.settings.service_api_key.get_secret_value()
        if not self.settings.label_studio_url or not key:
            raise InvalidSettings("the automatic stage needs YOLO_MLSAM_SERVICE_API_KEY")
        return LabelStudioClient(self.settings.label_studio_url, key)

    @cached_property
    def blinding(self) -> Blinding:
        return Blinding(self.engine, self.settings.blind_shares)

    @cached_property
    def stages(self) -> StageService:
        return StageService.of(
            self.settings,
            store=self.store,
            engine=self.engine,
            registry=self.registry,
            client=self.client,
            tags=self.tags,
        )

    @cached_property
    def images(self) -> TaskImages:
        secret = self.settings.patient_secret.get_secret_value()
        return TaskImages(
            root=self.settings.mammogram_root,
            downloads=ImageDownloads.of(
                self.settings, self.client if self.settings.label_studio_url else None
            ),
            patient_secret=secret.encode() if secret else None,
            max_bytes=self.settings.max_image_bytes,
        )

    @cached_property
    def context(self) -> RetrainContext:
        from training.datasets.sources import preference
        from training.retrain.context import RetrainContext
        from training.retrain.networks import Networks

        return RetrainContext(
            engine=self.engine,
            store=self.store,
            registry=self.registry,
            blobs=Blobs(self.settings.blobs),
            open_image=self.images.open,
            fingerprint=self.images.fingerprint,
            secret=self.settings.annotator_secret,
            networks=Networks(
                threads=self.settings.threads,
                runtime=self.settings.runtime,
                exported=self.settings.exported,
                processes=self.settings.train_processes,
            ),
            train_on_automatic=self.settings.train_on_automatic,
            runs=self.settings.runs,
            models=self.settings.models,
            prefer=preference(self.settings.dataset_sources),
        )

    def load(self, files: ModelFiles) -> Prelabeller:
        from mammo.pipeline import Prelabeller

        return Prelabeller.load(
            files,
            threads=self.settings.threads,
            runtime=self.settings.runtime,
            exported=self.settings.exported,
        )

    def close(self) -> None:
        """Write what waits, close what is open."""
        if "store" in self.__dict__:
            self.store.close()
        if "client" in self.__dict__:
            self.client.close()
        if "service_account" in self.__dict__:
            self.service_account.close()
        if "engine" in self.__dict__:
            self.engine.dispose()


_build: Callable[[], Services] | None = None


def install(build: Callable[[], Services]) -> None:
    """Say how jobs of this process, and of those it forks, get their services."""
    global _build  # noqa: PLW0603 - RQ calls jobs by name and hands them their payload only
    _build = build


def services() -> Services:
    """Fresh services for one job."""
    if _build is None:
        raise InvalidSettings("this worker was not started by `python -m worker`: its jobs have no settings")
    return _build()
