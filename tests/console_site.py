"""A small site with a history, served by a real backend process: for the console in a real browser."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rq import Worker

from mammo.access.roles import ROLES
from mammo.runs.jobs import QUEUES
from mammo.settings import PREFIX, Settings
from mammo.site import Site
from tests.backend_process import BackendProcess
from tests.conftest import RedisServer
from tests.console_history import HOSTILE, PROJECT, QUIET_PROJECT, READERS, History, fill
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served

if TYPE_CHECKING:
    from playwright.sync_api import StorageState

PASSWORD = "the password of a test"
USERS = {"viewer": "vera", "lead": "lena", "administrator": "anna"}
"""Console user of each role; all have the same password."""

NAMES = dict(zip(READERS, ("Dr. Okafor", "Dr. Lindqvist", "Dr. Moreau"), strict=True))


@dataclass(frozen=True)
class ConsoleSite:
    """A backend process, and what it serves."""

    url: str
    site: Site
    history: History
    label_studio: FakeLabelStudio
    backend: BackendProcess
    sessions: dict[str, StorageState] = field(default_factory=dict)
    """What a browser keeps of the session of each role."""


@contextmanager
def console_site(
    folder: Path, *, now: datetime | None = None, reason: str = HOSTILE
) -> Iterator[ConsoleSite]:
    """Serve a site in a folder; its processes are gone at the end.

    Args:
        now: end of the history; None: now.
        reason: what somebody gave as a reason.
    """
    sockets = Path(tempfile.mkdtemp(prefix="mlsam-"))  # short: socket paths end at 107 bytes
    redis = RedisServer(sockets).start()
    fake = FakeLabelStudio()
    fake.users = [{"id": user, "first_name": name} for user, name in NAMES.items()]
    for project in (PROJECT, QUIET_PROJECT):
        fake.add_project(project)
    try:
        with served(fake) as label_studio:
            values = {
                "data_dir": folder / "data",
                "redis_url": redis.url,
                "label_studio_url": label_studio,
                "label_studio_api_key": KEY,
                "auth_password": PASSWORD,
                "webhook_secret": "the secret of a test",
                "patient_secret": "the console's test",
                "pacs_url": "https://pacs.example/dicom-web",
                "recipe": "finetune",
            }
            with Site(settings=Settings.load(**values), creates=True) as site:
                history = fill(site, fake, folder, now=now or datetime.now(UTC), reason=reason)
                fake.serving, fake.versions = history.champion, {history.champion: len(fake.tasks)}
                for role in ROLES:
                    site.access.users.add(USERS[role], role, password=PASSWORD, actor="root@server")
                environment = {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items()}
                backend = BackendProcess(environment, log=folder / "backend.log")
                backend.start()
                try:
                    backend.wait(serves=False)
                    make_healthy(site, backend)
                    yield ConsoleSite(backend.url, site, history, fake, backend)
                finally:
                    backend.kill()
    finally:
        redis.stop()
        shutil.rmtree(sockets, ignore_errors=True)


def make_healthy(site: Site, backend: BackendProcess) -> None:
    """Connect both projects to the backend, as `project connect` does, and register a worker that takes no job."""
    settings = site.settings
    for project in (PROJECT, QUIET_PROJECT):
        site.client.connect_backend(
            project,
            backend.url,
            user=settings.auth_user,
            password=settings.auth_password.get_secret_value(),
            webhook_secret=settings.webhook_secret.get_secret_value(),
        )
    site.reconcile(PROJECT)
    Worker(QUEUES, connection=site.redis, name="gpu-1", worker_ttl=3600).register_birth()
