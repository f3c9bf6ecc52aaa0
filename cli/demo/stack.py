"""Stack: Redis, Label Studio, backend and worker on free loopback ports, with fresh secrets."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cli.demo.embedded_redis import start_redis
from cli.demo.label_studio_server import LabelStudioServer, launch_label_studio, wait_for_label_studio
from cli.demo.processes import Processes, free_port
from mammo.settings import PREFIX, Settings
from mammo.site import Site
from mammo.site_file import NAME as SITE_FILE
from mammo.site_file import write_site_file

START_SECONDS = 400.0
"""The backend imports torch and loads the champion, which takes minutes on a busy two-core machine."""

BROKER_SECONDS = 90
"""Seconds for which Redis may not answer, as it may on a busy machine."""


@dataclass(frozen=True)
class Stack:
    """The running processes, and their installation."""

    processes: Processes
    site: Site
    label_studio: LabelStudioServer

    @property
    def settings(self) -> Settings:
        return self.site.settings

    @property
    def backend_url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"

    def health(self) -> dict[str, Any]:
        """Return the body of the backend's `/health`, whatever its status code."""
        answer = httpx.get(f"{self.backend_url}/health", auth=self.auth, timeout=10, trust_env=False)
        body: dict[str, Any] = answer.json()
        return body

    @property
    def auth(self) -> tuple[str, str]:
        """Basic auth of the backend."""
        return self.settings.auth_user, self.settings.auth_password.get_secret_value()

    def environment(self) -> dict[str, str]:
        """Return the environment in which `yolo-mlsam` commands work on this stack."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(PREFIX)},
            **environment_of(self.settings),
        }


@contextmanager
def launch_stack(
    processes: Processes,
    folder: Path,
    *,
    label_studio: Path,
    port: int,
    recipe: str,
    patient_secret: str,
    threads: int = 0,
) -> Iterator[Stack]:
    """Start Redis and launch Label Studio, which takes a minute or more; `finish_stack` starts the rest and waits.

    Leaving the `with` block closes the connections of the installation; the processes end with `processes`.

    Args:
        folder: parent of all data: `mammograms` (DICOM), `data` (of Yolo-MLSAM), `label-studio` and `redis`; the
            settings are written to `yolo-mlsam.env` in it.
        label_studio: the label-studio program.
        port: of Label Studio; 0: a free one.
        recipe: training recipe of retrains.
        patient_secret: key of the patient keys; the same key gives the same folds in every run.
        threads: CPU threads of the networks, in the backend and in the worker; 0: torch's default.

    Raises:
        ProcessFailed: a program is missing or did not start.
    """
    redis = start_redis(processes, folder / "redis")
    server = launch_label_studio(
        processes, folder / "label-studio", program=label_studio, port=port or free_port()
    )
    mammograms = folder / "mammograms"
    mammograms.mkdir(parents=True, exist_ok=True)
    site_file = folder / SITE_FILE
    comment = "Settings of a Yolo-MLSAM demo: `yolo-mlsam --site FILE COMMAND` works on it."
    write_site_file(site_file, {}, comment=comment)  # of its own, so that no other one is read
    with Site.load(
        broker_seconds=BROKER_SECONDS,
        site=site_file,
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
        twin_root=server.files,
        patient_secret=patient_secret,
        threads=threads,
        recipe=recipe,
        train_after=0,
    ) as site:
        values = environment_of(site.settings)
        del values[f"{PREFIX}SITE"]
        write_site_file(site_file, values, comment=comment)
        yield Stack(processes, site, server)


def finish_stack(stack: Stack) -> None:
    """Start backend and worker, and wait until they and Label Studio answer.

    Raises:
        ProcessFailed: one of them ended or did not become ready in time.
    """
    environment = stack.environment()
    stack.processes.launch("worker", [sys.executable, "-m", "worker"], environment=environment)
    stack.processes.launch("backend", [sys.executable, "-m", "backend"], environment=environment)
    stack.processes.wait_until("backend", lambda: _serves(stack), within=START_SECONDS)
    wait_for_label_studio(stack.processes, stack.label_studio)


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the settings as environment variables for child processes. Secrets are in clear."""
    environment = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if hasattr(value, "get_secret_value"):
            value = value.get_secret_value()
        elif isinstance(value, Path):
            value = value.resolve()
        elif isinstance(value, dict):
            value = json.dumps(value)
        environment[f"{PREFIX}{name.upper()}"] = str(value)
    return environment


def _serves(stack: Stack) -> bool:
    try:
        return bool(stack.health().get("model_version"))
    except (httpx.TransportError, ValueError):
        return False
