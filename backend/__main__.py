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

from backend.app import create_app
from backend.auth import MIN_LENGTH, is_loopback, short_secrets
from backend.logs import configure
from backend.metrics import Metrics
from backend.model_host import SELF_TEST_FAILED, ModelHost, Prelabels
from backend.reconciling import Reconciler
from backend.schedule import Schedule
from backend.services import Services, no_next_tasks
from backend.shadow_model import ShadowModel
from backend.training import Training
from mammo.annotations import Reconciliation
from mammo.errors import InvalidSettings, InvalidWeights, MammoError
from mammo.memory import free_memory
from mammo.models import PARTS, ModelRegistry
from mammo.models.champion_announcements import ChampionListener
from mammo.settings import PREFIX, Settings
from mammo.site import Site

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
        site = Site.load(creates=True)
        settings = site.settings
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
        services = replace(wire(site), insecure=insecure)
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


def wire(site: Site) -> Services:
    """Compose what the routes work with.

    Raises:
        MammoError: the database or the folders cannot be used.
    """
    settings, registry, metrics = site.settings, site.registry, Metrics()

    @cache
    def embeddings() -> EmbeddingCache:
        from mammo.segmenter import EmbeddingCache

        return EmbeddingCache(
            memory_bytes=settings.embedding_memory_bytes,
            folder=settings.embeddings,
            disk_bytes=settings.embedding_disk_bytes,
        )

    def load(version: str) -> Prelabels:
        return site.load_model(version, embeddings=embeddings())

    training = Training.of(settings, site.runs, site.store, metrics=metrics)
    client = site.label_studio
    return Services(
        settings=settings,
        store=site.store,
        queue=site.queue,
        training=training,
        host=ModelHost(
            registry,
            load=load,
            check=partial(self_test, registry),
            every=settings.reload_seconds,
            pins=settings.pinned_models,
            settled=set_aside,
        ),
        images=site.images,
        metrics=metrics,
        trace=site.trace,
        efforts=site.efforts,
        next_tasks=client.next_tasks if client else no_next_tasks,
        withheld=site.withholding,
        stages=site.stages,
        reading_service=site.readings() if client else None,
        reconciler=_reconciler(site, metrics),
        schedule=Schedule(training, times=settings.train_schedule, zone=ZoneInfo(settings.time_zone)),
        shadow=_shadow(site),
        comparison=site.comparison,
        news=partial(ChampionListener, settings.redis_url.get_secret_value()),
        closing=(site.close,),
    )


def _shadow(site: Site) -> ShadowModel | None:
    """Its embeddings are not cached: they would push out those that clicks need."""
    if not site.settings.shadow:
        return None

    def size(version: str) -> int:
        manifest = site.registry.manifest(version)
        return sum(manifest[part]["bytes"] for part in PARTS)

    return ShadowModel(
        partial(site.registry.find, site.settings.shadow),
        load=site.load_model,
        size=size,
        free=free_memory,
        check=partial(self_test, site.registry),
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


def _reconciler(site: Site, metrics: Metrics) -> Reconciler | None:
    client = site.label_studio
    if client is None:
        log.warning("corrections are not reconciled: Label Studio's address or key is not set")
        return None

    def look(project: int) -> Reconciliation:
        result = site.reconcile(project)
        site.stages.audit(project)  # what was reviewed meanwhile may end the automatic stage
        return result

    return Reconciler(
        look,
        projects=lambda: sorted({*site.store.projects(), *site.reading_records.projects()}),
        every=site.settings.reconcile_seconds,
        repair_webhook=partial(client.repair_webhook, secret=site.settings.webhook_secret.get_secret_value()),
        metrics=metrics,
    )


if __name__ == "__main__":
    sys.exit(main(insecure="--insecure" in sys.argv[1:]))
