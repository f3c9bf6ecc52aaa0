"""`python -m backend`: read the settings once, build the services, serve."""

from __future__ import annotations

import gc
import os
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog

from backend.app import create_app
from backend.auth import MIN_LENGTH, short_secrets
from backend.connections.limits import ConnectionLimits, raise_descriptor_limit
from backend.connections.server import Server, bind
from backend.local import is_loopback
from backend.logs import configure
from backend.metrics import Metrics
from backend.model_host import SELF_TEST_FAILED, ModelHost, ProjectVersions
from backend.notifying import Notifier
from backend.reconciling import Reconciler
from backend.retrain_triggers import RetrainTriggers
from backend.schedule import Schedule
from backend.services import Services
from backend.shadow_model import ShadowModel
from mammo.annotations import Reconciliation
from mammo.errors import InvalidSettings, InvalidWeights, MammoError
from mammo.memory import free_memory
from mammo.models import PARTS, ModelRegistry
from mammo.models.registry import require_usable
from mammo.settings import PREFIX, Settings
from mammo.site import Site

if TYPE_CHECKING:
    from mammo.pipeline import Prelabeller
    from mammo.segmenter import EmbeddingCache

RESULTS_EVERY = 30.0
"""Seconds between two rounds of results for the PACS."""

SWITCH_SECONDS = 0.001
"""How long a thread may keep Python from the others. While the console's figures are counted in the background, a
request would wait the usual 5 ms at each of its statements."""

log = structlog.get_logger()


def main(*, insecure: bool = False) -> int:
    """Serve until stopped; return the exit status, 2 if the settings cannot be used.

    Args:
        insecure: serve without secrets, on this machine only.
    """
    # Backend, worker and Label Studio often share a few cores: torch's waiting threads must sleep, not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.setswitchinterval(SWITCH_SECONDS)
    os.umask(0o077)  # whatever this process writes is its user's only
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
                "secrets are short enough to be guessed; use long random ones",
                settings=short,
                at_least=MIN_LENGTH,
            )
        limits = ConnectionLimits.of(settings, descriptors=raise_descriptor_limit())
        with ExitStack() as on_failure:
            sockets = bind(settings.host, settings.port)
            for each in sockets:
                on_failure.callback(each.close)
            services = replace(wire(site), insecure=insecure)
            warn_if_nothing_can_be_recorded(site)
            on_failure.pop_all()
    except MammoError as error:
        print(f"backend: {error}", file=sys.stderr)  # noqa: T201 - there is no log without settings
        return 2
    server = Server.of(create_app(services), settings, services.metrics, limits=limits)
    with suppress(KeyboardInterrupt):  # Ctrl-C, after everything is closed
        server.run(sockets)
    return 0


def warn_if_nothing_can_be_recorded(site: Site) -> None:
    """Log that the database cannot be written, on a full disk for example; `/health` says so too.

    The service starts all the same, because predictions need no database. Label Studio's events are refused, and
    reconciliation fetches their corrections later.
    """
    site.store.check()
    if site.store.problem is not None:
        log.error("nothing can be recorded: events are answered 503 until it can", code=site.store.problem)


def require_secrets(settings: Settings) -> None:
    """Refuse to serve without the two secrets.

    Raises:
        InvalidSettings: a secret is missing; the message says how to make one.
    """
    required = {"AUTH_PASSWORD": settings.auth_password, "WEBHOOK_SECRET": settings.webhook_secret}
    missing = [PREFIX + name for name, secret in required.items() if not secret.get_secret_value()]
    if missing:
        raise InvalidSettings(
            f"set {' and '.join(missing)}: the backend does not serve without secrets; make one with "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
        )


def require_loopback(settings: Settings) -> None:
    """Refuse to serve other machines without secrets.

    Raises:
        InvalidSettings: the address is not a loopback address.
    """
    if not is_loopback(settings.host):
        raise InvalidSettings(
            f"--insecure serves this machine only, but {PREFIX}HOST is {settings.host}; use 127.0.0.1, or set secrets"
        )


def wire(site: Site) -> Services:
    """Build the services of a site.

    Raises:
        MammoError: the database or a folder cannot be used.
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

    def load(version: str) -> Prelabeller:
        return site.load_model(version, embeddings=embeddings())

    triggers = RetrainTriggers.of(settings, site.runs, site.store, metrics=metrics)
    return Services(
        site=site,
        triggers=triggers,
        host=ModelHost(
            registry,
            load=load,
            check=partial(self_test, registry),
            every=settings.reload_seconds,
            projects=ProjectVersions(
                before_first_look=settings.pinned_models,
                pinned=site.pins.versions,
                provisional=site.provisional.versions,
            ),
            swapped=freeze_garbage_collection,
        ),
        images=site.images,
        metrics=metrics,
        reconciler=_reconciler(site, metrics),
        notifier=Notifier(site.notifications.round),
        result_sender=_result_sender(site),
        schedule=Schedule(
            triggers,
            times=settings.train_schedule,
            zone=ZoneInfo(settings.time_zone),
            reserve_space=site.reserve_space,
        ),
        shadow=_shadow(site),
        champion_listener=site.champion_listener,
    )


def _result_sender(site: Site) -> Notifier | None:
    """Build the thread that sends results to the PACS."""
    if not site.settings.pacs_url:
        return None
    return Notifier(site.pacs_results.round, every=RESULTS_EVERY, what="results for the PACS")


def _shadow(site: Site) -> ShadowModel | None:
    """Build the shadow model. Its embeddings are not cached, because they would displace those that clicks need."""
    if not site.settings.shadow:
        return None

    def size(version: str) -> int:
        manifest = site.registry.manifest(version)
        require_usable(manifest)
        return sum(manifest[part]["bytes"] for part in PARTS)

    return ShadowModel(
        partial(site.registry.find, site.settings.shadow),
        load=site.load_model,
        size=size,
        free=free_memory,
        check=partial(self_test, site.registry),
    )


def freeze_garbage_collection() -> None:
    """Collect the previous model, and exempt everything that is loaded now from later collections.

    With torch imported, a full collection visits a million objects and stops every thread for half a second or more,
    while Label Studio gives a webhook one second.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def self_test(registry: ModelRegistry, version: str, prelabeller: Prelabeller) -> None:
    """Check that a version finds in the phantom what its manifest expects; note a failure in the registry.

    Raises:
        InvalidWeights: it finds something else (code `self_test_failed`).
    """
    from mammo.models.self_test import MIN_SCORE, check

    expected = registry.manifest(version).get("self_test")
    if not expected:
        log.info("the model has no self-test", version=version)
        return
    try:
        check(partial(prelabeller.prelabel, threshold=MIN_SCORE), expected, version=version)
    except InvalidWeights as error:
        if error.code == SELF_TEST_FAILED:
            registry.note(version, SELF_TEST_FAILED, {"reason": str(error), "host": socket.gethostname()})
            raise
        log.warning("the self-test could not be run", version=version, reason=str(error))


def _reconciler(site: Site, metrics: Metrics) -> Reconciler | None:
    client = site.label_studio
    if client is None:
        log.warning("corrections are not reconciled: Label Studio's address or API key is not set")
        return None

    def reconcile(project: int) -> Reconciliation:
        result = site.reconcile(project)
        site.stages.audit(project)  # reviews made meanwhile may end the automatic stage
        return result

    return Reconciler(
        reconcile,
        projects=lambda: sorted({*site.store.projects(), *site.reading_records.projects()}),
        every=site.settings.reconcile_seconds,
        repair_webhook=partial(client.repair_webhook, secret=site.settings.webhook_secret.get_secret_value()),
        metrics=metrics,
    )


if __name__ == "__main__":
    sys.exit(main(insecure="--insecure" in sys.argv[1:]))
