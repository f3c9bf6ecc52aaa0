"""Stack: Redis, Label Studio, backend and worker on free loopback ports, with fresh secrets."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cli.demo.embedded_redis import start_redis
from cli.demo.label_studio_server import LabelStudioServer, launch_label_studio, wait_for_label_studio
from cli.demo.processes import Supervisor, free_port
from mammo.settings import PREFIX, Settings
from mammo.site import Site

START_SECONDS = 400.0
"""The backend imports torch and loads the champion; a busy two-core machine takes its time."""


@dataclass(frozen=True)
class Stack:
    """Everything that runs, and the settings it runs with."""

    supervisor: Supervisor
    settings: Settings
    label_studio: LabelStudioServer
    redis_program: str

    @property
    def backend_url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"

    def health(self) -> dict[str, Any]:
        """The backend's `/health`, whatever its status code."""
        answer = httpx.get(f"{self.backend_url}/health", auth=self.auth, timeout=10, trust_env=False)
        body: dict[str, Any] = answer.json()
        return body

    @property
    def auth(self) -> tuple[str, str]:
        """Basic auth of the backend."""
        return self.settings.auth_user, self.settings.auth_password.get_secret_value()

    def environment(self) -> dict[str, str]:
        """The environment in which our own commands find this stack."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(PREFIX)},
            **environment_of(self.settings),
        }


def launch_stack(
    supervisor: Supervisor,
    folder: Path,
    *,
    label_studio: Path,
    port: int,
    recipe: str,
    patient_secret: str,
    threads: int = 0,
) -> Stack:
    """Start Redis and launch Label Studio, which takes a while; `finish_stack` waits and starts the rest.

    Args:
        folder: gets all data: `mammograms` (DICOM), `data` (ours), `label-studio`, `redis`.
        label_studio: the label-studio program.
        port: Label Studio's port; 0 takes a free one.
        recipe: training recipe of retrains.
        patient_secret: key of the patient keys; the same one gives the same folds in every run.
        threads: CPU threads of the networks in backend and worker each; 0 lets torch choose.

    Raises:
        ProcessFailed: a program is missing or did not start.
    """
    redis = start_redis(supervisor, folder / "redis")
    server = launch_label_studio(
        supervisor, folder / "label-studio", program=label_studio, port=port or free_port()
    )
    mammograms = folder / "mammograms"
    mammograms.mkdir(parents=True, exist_ok=True)
    settings = Site.load(
        data_dir=folder / "data",
        database_url="",
        redis_url=redis.url,
        host="127.0.0.1",
        port=free_port(),
        auth_user="label-studio",
        auth_password=secrets.token_urlsafe(16),
        webhook_secret=secrets.token_urlsafe(16),
        label_studio_url=server.url,
        label_studio_api_key=server.api_key,
        mammogram_root=mammograms,
        patient_secret=patient_secret,
        threads=threads,
        recipe=recipe,
        train_after=0,
    ).settings
    return Stack(supervisor, settings, server, redis.program)


def finish_stack(stack: Stack) -> None:
    """Start backend and worker, and wait until they and Label Studio answer.

    Raises:
        ProcessFailed: one of them ended or did not become ready in time.
    """
    environment = stack.environment()
    stack.supervisor.launch("worker", [sys.executable, "-m", "worker"], environment=environment)
    stack.supervisor.launch("backend", [sys.executable, "-m", "backend"], environment=environment)
    stack.supervisor.wait_until("backend", lambda: _serves(stack), within=START_SECONDS)
    wait_for_label_studio(stack.supervisor, stack.label_studio)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment variables that describe these settings; secrets in clear, for child processes only."""
    found = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if hasattr(value, "get_secret_value"):
            value = value.get_secret_value()
        elif isinstance(value, Path):
            value = value.resolve()
        found[f"{PREFIX}{name.upper()}"] = str(value)
    return found


def _serves(stack: Stack) -> bool:
    try:
        return bool(stack.health().get("model_version"))
    except (httpx.TransportError, ValueError):
        return False
