"""`python -m backend`: read the settings once, wire the services, serve."""

from __future__ import annotations

import gc
import os
import socket
import sys
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
import uvicorn
from sqlalchemy.engine import Engine

from backend.app import create_app
from backend.auth import MIN_LENGTH, is_loopback, short_secrets
from backend.logs import configure
from backend.metrics import Metrics
from backend.model_host import SELF_TEST_FAILED, Load, ModelHost, Prelabels
from backend.reconciling import Reconciler
from backend.schedule import Schedule
from backend.services import Services, no_next_tasks
from backend.shadow_model import ShadowModel
from backend.training import Training
from mammo.annotations import AnnotationStore, Reconciliation, reconcile
from mammo.blinding import Blinding
from mammo.database import open_database
from mammo.efforts.effort_records import effort_records
from mammo.efforts.shadow_comparison import compare_versions, named_versions
from mammo.errors import InvalidSettings, InvalidWeights, MammoError
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TaskImages
from mammo.labelstudio import LabelStudioClient
from mammo.labelstudio.project_tags import ProjectTags
from mammo.memory import free_memory
from mammo.models import PARTS, STARTER, ModelRegistry
from mammo.models.champion_news import ChampionNews
from mammo.readings import ReadingRecords, ReadingService, open_readings
from mammo.runs import RunService
from mammo.runs.jobs import JobQueue, redis_connection
from mammo.settings import PREFIX, Settings
from mammo.stages import StageLog, StageService, Withholding
from mammo.trace import trace

if TYPE_CHECKING:
    from mammo.segmenter import EmbeddingCache

log = structlog.get_logger()


def main(*, insecure: bool = False) -> int:
    """Serve until stopped; 2 when the settings do not describe a service.

    Args:
        insecure: serve without secrets, to this machine only.
    """
    # Backend, worker and Label Studio often share a few cores: torch's waiting threads must sleep, not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        settings = Settings.load()
        if insecure:
            require_loopback(settings)
        else:
            require_secrets(settings)
        configure(settings.log_level)
        if not insecure and (short := short_secrets(settings)):
            log.warning(
                "secrets are so short that somebody may find them by trying; take long random ones",
                settings=short,
                at_least=MIN_LENGTH,
            )
        services = replace(wire(settings), insecure=insecure)
    except MammoError as error:
        print(f"backend: {error}", file=sys.stderr)  # noqa: T201  # there is no log without settings
        return 2
    uvicorn.run(
        create_app(services),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    return 0


def require_secrets(settings: Settings) -> None:
    """Refuse to serve without the two secrets.

    Raises:
        InvalidSettings: names what is missing and how to make one.
    """
    needed = {"AUTH_PASSWORD": settings.auth_password, "WEBHOOK_SECRET": settings.webhook_secret}
    missing = [PREFIX + name for name, secret in needed.items() if not secret.get_secret_value()]
    if missing:
        raise InvalidSettings(
            f"set {' and '.join(missing)}: mammograms are not served without; make a secret with "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
        )


def require_loopback(settings: Settings) -> None:
    """Refuse to serve strangers without secrets.

    Raises:
        InvalidSettings: the address is reachable from elsewhere.
    """
    if not is_loopback(settings.host):
        raise InvalidSettings(
            f"--insecure serves this machine only, and {PREFIX}HOST is {settings.host}; take 127.0.0.1, or set secrets"
        )


def wire(settings: Settings) -> Services:
    """Open what the backend works with.

    Raises:
        MammoError: the database or the folders cannot be used.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = open_database(settings.database)
    registry = ModelRegistry(engine, settings.blobs)
    try:
        registry.ensure_starter(STARTER)
    except MammoError as error:
        log.warning("the starter model is not registered", code=error.code)
    client = None
    if settings.label_studio_url:
        client = LabelStudioClient(
            settings.label_studio_url, settings.label_studio_api_key.get_secret_value()
        )

    @cache
    def embeddings() -> EmbeddingCache:
        from mammo.segmenter import EmbeddingCache

        return EmbeddingCache(
            memory_bytes=settings.embedding_memory_bytes,
            folder=settings.embeddings,
            disk_bytes=settings.embedding_disk_bytes,
        )

    def load(version: str, *, cached: bool = True) -> Prelabels:
        # torch takes seconds to import: meanwhile the server answers, and says that no model is loaded yet.
        from mammo.pipeline import Prelabeller

        return Prelabeller.load(
            registry.files(version, into=settings.models),
            threads=settings.threads,
            runtime=settings.runtime,
            exported=settings.exported,
            embeddings=embeddings() if cached else None,
        )

    store, metrics = AnnotationStore(engine), Metrics()
    queue = JobQueue(redis_connection(settings.redis_url.get_secret_value(), patience=0))
    desk = RunService.of(settings, engine, queue)

    training = Training.of(settings, desk, store, metrics=metrics)
    tags = ProjectTags(client if settings.label_studio_api_key.get_secret_value() else None)
    stages = StageService.of(
        settings, store=store, engine=engine, registry=registry, client=client, tags=tags
    )
    return Services(
        next_tasks=client.next_tasks if client else no_next_tasks,
        settings=settings,
        store=store,
        metrics=metrics,
        trace=partial(
            trace, store=store, engine=engine, registry=registry, secret=settings.annotator_secret, tags=tags
        ),
        efforts=lambda project: effort_records(
            project, store=store, engine=engine, secret=settings.annotator_secret, tags=tags(project)
        ),
        withheld=Withholding(StageLog(engine), Blinding(engine, settings.blind_shares)),
        stages=stages,
        reconciler=_reconciler(settings, store, engine, client, metrics, stages),
        reading_service=_room(settings, store, engine, client),
        queue=queue,
        training=training,
        schedule=Schedule(training, times=settings.train_schedule, zone=ZoneInfo(settings.time_zone)),
        host=ModelHost(
            registry,
            load=load,
            check=partial(self_test, registry),
            every=settings.reload_seconds,
            pins=settings.pinned_models,
            settled=set_aside,
        ),
        images=TaskImages(
            root=settings.mammogram_root,
            downloads=ImageDownloads.of(settings, client),
            patient_secret=settings.patient_secret.get_secret_value().encode() or None,
            max_bytes=settings.max_image_bytes,
        ),
        news=partial(ChampionNews, settings.redis_url.get_secret_value()),
        shadow=_shadow(settings, registry, partial(load, cached=False)),
        comparison=lambda project, names: compare_versions(
            project, named_versions(names, registry), store=store, tags=tags(project)
        ).to_json(),
        closing=(engine.dispose, *([client.close] if client else [])),
    )


def _shadow(settings: Settings, registry: ModelRegistry, load: Load) -> ShadowModel | None:
    """Its embeddings are not kept: they would push out those that clicks need."""
    if not settings.shadow:
        return None

    def size(version: str) -> int:
        manifest = registry.manifest(version)
        return sum(manifest[part]["bytes"] for part in PARTS)

    return ShadowModel(
        partial(registry.find, settings.shadow),
        load=load,
        size=size,
        free=free_memory,
        check=partial(self_test, registry),
    )


def set_aside() -> None:
    """Let the garbage collector pass over all that is loaded by now.

    With torch imported a full collection looks at a million objects and stops every thread for half a second or more,
    and Label Studio gives a webhook one second. The model before, if there was one, is collected here.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def self_test(registry: ModelRegistry, version: str, prelabeller: Prelabels) -> None:
    """Refuse a version that does not find in the phantom what its manifest says, and note it in the registry.

    Raises:
        InvalidWeights: it finds something else (code `self_test_failed`).
    """
    from mammo.models.self_test import MIN_SCORE, check

    expected = registry.manifest(version).get("self_test")
    if not expected:
        log.info("a model without a self-test", version=version)
        return
    try:
        check(partial(prelabeller.prelabel, threshold=MIN_SCORE), expected, version=version)
    except InvalidWeights as error:
        if error.code == SELF_TEST_FAILED:
            registry.note(version, SELF_TEST_FAILED, {"reason": str(error), "host": socket.gethostname()})
            raise
        log.warning("a self-test that cannot be made", version=version, reason=str(error))


def _room(
    settings: Settings, store: AnnotationStore, engine: Engine, client: LabelStudioClient | None
) -> ReadingService | None:
    if client is None or not settings.label_studio_api_key.get_secret_value():
        return None
    return open_readings(settings, client=client, store=store, engine=engine)


def _reconciler(
    settings: Settings,
    store: AnnotationStore,
    engine: Engine,
    client: LabelStudioClient | None,
    metrics: Metrics,
    stages: StageService,
) -> Reconciler | None:
    if client is None or not settings.label_studio_api_key.get_secret_value():
        log.warning("corrections are not reconciled: Label Studio's address or key is not set")
        return None

    def look(project: int) -> Reconciliation:
        found = reconcile(project, client=client, store=store, engine=engine)
        stages.audit(project)  # what was reviewed meanwhile may end the automatic stage
        return found

    return Reconciler(
        look,
        projects=lambda: sorted({*store.projects(), *ReadingRecords(engine).projects()}),
        every=settings.reconcile_seconds,
        repair_webhook=partial(client.repair_webhook, secret=settings.webhook_secret.get_secret_value()),
        metrics=metrics,
    )


if __name__ == "__main__":
    sys.exit(main(insecure="--insecure" in sys.argv[1:]))
