"""Site: the composition root, which builds every component of an installation from its settings.

Backend, worker and command line take database, store, registry, Label Studio client and all else from here, and build
nothing themselves, so that no second wiring can forget an option. Its bases build what is kept (`mammo.site_storage`)
and what goes in and out (`mammo.site_exchange`). A component is imported and built when it is first used: a command
that lists runs imports neither pydicom nor scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from mammo.settings import Settings
from mammo.site_exchange import SiteExchange

if TYPE_CHECKING:
    import redis

    from mammo.access.access import Access
    from mammo.annotations import Reconciliation
    from mammo.blinding import Blinding
    from mammo.efforts.effort_records import Efforts
    from mammo.models.champion_announcements import ChampionListener
    from mammo.notifications import NotificationService
    from mammo.readers import KnownCases, ProjectReaders
    from mammo.readings import ReadingRecords, ReadingService
    from mammo.runs import RunService
    from mammo.runs.jobs import JobQueue
    from mammo.second_looks import SecondLookService
    from mammo.stages import StageLog, StageService, Withholding
    from mammo.trace import Trace
    from mammo.worklist.service import WorklistService


@dataclass(frozen=True, kw_only=True)
class Site(SiteExchange):
    """One installation. Safe to share between threads once its components are built; must be closed."""

    broker_seconds: int = 0
    """Seconds for which a worker retries while Redis does not answer; 0: requests and commands, which do not wait."""

    @classmethod
    def load(cls, *, creates: bool = False, broker_seconds: int = 0, **values: Any) -> Self:
        """Return the installation that the environment describes.

        Args:
            values: settings by name; they override the environment.

        Raises:
            InvalidSettings: a setting has an invalid value.
        """
        return cls(settings=Settings.load(**values), creates=creates, broker_seconds=broker_seconds)

    @cached_property
    def redis(self) -> redis.Redis:
        from mammo.broker import redis_connection

        return redis_connection(self.settings.redis_url.get_secret_value(), patience=self.broker_seconds)

    @cached_property
    def queue(self) -> JobQueue:
        from mammo.runs.jobs import JobQueue

        return JobQueue(self.redis)

    def announce_champion(self, version: str) -> bool:
        """Tell the running backends of a new champion; returns whether Redis took the message. Never raises."""
        from mammo.broker import redis_connection
        from mammo.models.champion_announcements import announce_champion

        with redis_connection(self.settings.redis_url.get_secret_value()) as connection:
            return announce_champion(connection, version)

    def champion_listener(self, on_announcement: Callable[[], None]) -> ChampionListener:
        """Return a listener that calls `on_announcement` when there may be a new champion; the caller starts it."""
        from mammo.models.champion_announcements import ChampionListener

        return ChampionListener(self.redis, on_announcement)

    @cached_property
    def blinding(self) -> Blinding:
        from mammo.blinding import Blinding

        return Blinding(self.engine, self.settings.blind_shares)

    @cached_property
    def stage_log(self) -> StageLog:
        from mammo.stages import StageLog

        return StageLog(self.engine)

    @cached_property
    def stages(self) -> StageService:
        from mammo.stages import StageService

        return StageService.of(
            self.settings,
            store=self.store,
            engine=self.engine,
            client=self.label_studio,
            tags=self.tags,
            served_version=self.serving,
        )

    @cached_property
    def withholding(self) -> Withholding:
        """Decides for which tasks annotators get no prelabel."""
        from mammo.stages import Withholding

        return Withholding(self.stage_log, self.blinding)

    @cached_property
    def access(self) -> Access:
        from mammo.access.access import Access

        return Access.of(self.engine)

    @cached_property
    def runs(self) -> RunService:
        from mammo.runs import RunService

        return RunService.of(self.settings, self.engine, self.queue)

    @cached_property
    def notifications(self) -> NotificationService:
        from mammo.notifications import NotificationService

        return NotificationService.of(self.settings, engine=self.engine, client=self.label_studio)

    @cached_property
    def reading_records(self) -> ReadingRecords:
        from mammo.readings import ReadingRecords

        return ReadingRecords(self.engine)

    @cached_property
    def known_cases(self) -> KnownCases:
        from mammo.readers import KnownCases

        return KnownCases(self.engine, self.store)

    @cached_property
    def second_looks(self) -> SecondLookService:
        from mammo.second_looks import SecondLookService
        from mammo.second_looks.records import DoubtRecords

        return SecondLookService(
            records=DoubtRecords(self.engine), store=self.store, client=lambda: self.client, tags=self.tags
        )

    def readers(self, project: int) -> ProjectReaders:
        """Return who read what in a project, how much is left, and how alike its readers are; see `mammo.readers`."""
        from mammo.readers import project_readers

        return project_readers(
            project,
            efforts=self.efforts(project),
            store=self.store,
            records=self.reading_records,
            known_cases=self.known_cases,
            client=self.label_studio,
            tags=self.tags,
            secret=self.settings.annotator_secret,
        )

    def readings(self, *, s3_keys: tuple[str, str] = ("", "")) -> ReadingService:
        """Return the service for double readings.

        Args:
            s3_keys: access and secret key of the source projects' buckets; empty: Label Studio's own.

        Raises:
            InvalidSettings: Label Studio's address or API key is not set.
        """
        from mammo.readings import ReadingService

        client, secret = self.client, self.settings.webhook_secret.get_secret_value()

        def prepare(source: int, project: int) -> None:
            """Copy storages and webhook of the source to a reader's project."""
            client.copy_s3_storages(source, project, access_key=s3_keys[0], secret_key=s3_keys[1])
            if secret:
                client.copy_webhook(source, project, secret=secret)

        return ReadingService(
            client=client,
            store=self.store,
            records=self.reading_records,
            reconcile=lambda project: self.reconcile(project).repaired,
            secret=self.settings.annotator_secret,
            lock=self.data_dir / "double-reading.lock",
            prepare=prepare,
        )

    @cached_property
    def worklist(self) -> WorklistService:
        """Raises InvalidSettings: Label Studio's address or API key is not set."""
        from mammo.worklist.service import WorklistService

        return WorklistService(
            client=self.client, store=self.store, engine=self.engine, served_version=self.serving
        )

    def serving(self, project: int) -> str:
        """Return the model version that serves a project: its own, if it has one (`own_models`), else the champion."""
        return self.own_models().get(project) or self.registry.champion().version

    def news(self, project: int | None, version: str) -> list[str]:
        """Return the sentences for the note of every image of a project that a version predicts.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        from mammo.models.provisional import PROVISIONAL_NOTE

        notes = self.notifications.notes(project)
        if project is not None and self.provisional.versions().get(project) == version:
            return [PROVISIONAL_NOTE, *notes]
        return notes

    def reconcile(self, project: int, *, complete: bool = False) -> Reconciliation:
        """Reconcile a project's corrections with Label Studio, and record answers to second looks among them."""
        from mammo.annotations import reconcile

        result = reconcile(
            project, client=self.client, store=self.store, engine=self.engine, complete=complete
        )
        self.second_looks.settle(project)
        return result

    def efforts(self, project: int) -> Efforts:
        """Return the edit effort of a project's corrections; see `mammo.efforts`."""
        from mammo.efforts.effort_records import effort_records

        return effort_records(
            project,
            store=self.store,
            engine=self.engine,
            secret=self.settings.annotator_secret,
            tags=self.tags(project),
        )

    def trace(self, annotation: int, *, comments: bool = False) -> Trace:
        """Return the origin of a correction, and the models that learned from it; see `mammo.trace.trace`."""
        from mammo.trace import trace

        found = trace(
            annotation,
            store=self.store,
            engine=self.engine,
            registry=self.registry,
            secret=self.settings.annotator_secret,
            tags=self.tags,
            comments=comments,
        )
        looks = self.second_looks.records.of_annotation(annotation)
        return replace(found, second_looks=[each.to_json() for each in looks])

    def comparison(self, project: int, versions: Sequence[str]) -> dict[str, Any]:
        """Compare two model versions on a project's tasks: with each other, and with the corrections."""
        from mammo.efforts.shadow_comparison import compare_versions, named_versions

        names = named_versions(versions, self.registry)
        return compare_versions(project, names, store=self.store, tags=self.tags(project)).to_json()

    def close(self) -> None:
        """Write pending records, and close all connections."""
        for name in ("store", "label_studio", "service_account", "pacs", "pacs_for_people", "redis"):
            if (component := self.__dict__.get(name)) is not None:
                component.close()
        if "engine" in self.__dict__:
            self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
